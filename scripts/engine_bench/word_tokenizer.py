"""A tokenizer for a random model: every id is one word or one mark, so that text and tokens correspond one to one.

Answers of a random model are read back as the next turn's prompt, as a chat does; with a tokenizer that spells words in
parts they would come back as other tokens, and no engine could reuse what it has.
"""

from __future__ import annotations

import itertools

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<unk>", "<s>", "<image>", "<pad>")
_MARKS = ("▁", *(f"▁{mark}" for mark in ("###", "\n", *".,:;?!'\"()-#", "Human", "Assistant")))
_SYLLABLES = tuple(a + b for a, b in itertools.product("bdfghklmnprstvz", "aeiou"))


def num_silent() -> int:
    """How many ids, from 0, are no words of an answer: special tokens, marks and roles."""
    return len(SPECIAL) + len(_MARKS)


def word_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """`vocab_size` ids: specials, marks and invented words of two syllables or more. No end-of-sequence token: answers
    are as long as they are asked to be."""
    lengths = itertools.count(2)
    words = (
        "▁" + "".join(parts) for length in lengths for parts in itertools.product(_SYLLABLES, repeat=length)
    )
    names = [*SPECIAL, *_MARKS]
    names += itertools.islice(words, vocab_size - len(names))
    inner = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<unk>"))
    # A space before everything, whether it is written or not, so that a word is one token wherever it stands.
    inner.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"###|[^\w\s]|\n"), "isolated"),
        pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
    ])  # fmt: skip
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    inner.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens=["<image>"],
    )
