"""The demo model's tokenizer: byte-pair encoding with byte fallback, as LLaMA's, learned from the world's own text."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from conversations.template import TEMPLATES
from scripts.demo_world.language import caption
from scripts.demo_world.patches import place_texts
from scripts.demo_world.samples import small_talk_sample, text_sample
from scripts.demo_world.scene import sample_scene

SPECIAL = ("<unk>", "<s>", "</s>", "<image>", "<pad>")
_BYTES = tuple(f"<0x{value:02X}>" for value in range(256))
_LEARNED = 1100  # enough that every word of the world is a single token, which keeps prompts short


def train_tokenizer(num_samples: int = 3000) -> PreTrainedTokenizerFast:
    """Learns merges from the world's text; the same call gives the same tokenizer."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = _pre_tokenizer()
    learner.train_from_iterator(
        _corpus(num_samples), trainers.BpeTrainer(vocab_size=_LEARNED, show_progress=False, min_frequency=2)
    )
    return _with_byte_fallback(learner)


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    # Punctuation and line breaks stand alone, so that a word is the same token whatever follows it; a space belongs
    # to the word after it.
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"###|[^\w\s]|\d|\n"), "isolated"),
        pre_tokenizers.Metaspace(prepend_scheme="never", split=True),
    ])  # fmt: skip


def _corpus(num_samples: int) -> Iterator[str]:
    yield from 5 * place_texts()
    for seed in range(num_samples):
        yield caption(sample_scene(seed))
        template = TEMPLATES["llava_v0"]
        turns = text_sample(seed, how_many=4).messages
        if seed % 10 == 0:
            turns += small_talk_sample(seed).messages
        yield "".join(getattr(segment, "text", "") for segment in template.segments(turns, open_turn=False))


def _with_byte_fallback(learner: Tokenizer) -> PreTrainedTokenizerFast:
    """The learned merges under a vocabulary that also holds the special tokens and all 256 bytes.

    Byte tokens are plain vocabulary, not added tokens: "<0x0A>" typed by a person stays five characters of text.
    """
    learned = json.loads(learner.to_str())["model"]
    names = [*SPECIAL, *_BYTES, *sorted(learned["vocab"], key=learned["vocab"].get)]
    vocab = {name: index for index, name in enumerate(names)}
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    )
    tokenizer.pre_tokenizer = _pre_tokenizer()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        additional_special_tokens=["<image>"], clean_up_tokenization_spaces=False,
    )  # fmt: skip
