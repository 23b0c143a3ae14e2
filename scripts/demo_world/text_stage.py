"""The language model: a small LLaMA that learns the world's language from text alone, scenes told in words."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from model.training.dataset import collate
from scripts.demo_world.drawn_dataset import item_of
from scripts.demo_world.samples import Sample, retold_sample, small_talk_sample, text_sample

TRAINING_SEEDS_FROM = 100_000_000
CONTEXT_TOKENS = 1024


def language_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """192 wide, four layers, embeddings shared. Widths are multiples of 64: 4-bit weights come in blocks of 64."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=192, intermediate_size=512, num_hidden_layers=4,
            num_attention_heads=6, num_key_value_heads=6, max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=4, initializer_range=0.04,
        )
    )  # fmt: skip


def text_loss(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, step: int, batch_size: int
) -> Tensor:
    """Every token of the step's own texts is learned; one batch in five is captions retold, for stage 1."""
    first = TRAINING_SEEDS_FROM + step * batch_size
    seeds = range(first, first + batch_size)
    retold = step % 5 == 4
    samples = [retold_sample(seed) if retold else _told(seed, how_many=4 + step % 3) for seed in seeds]
    template = "plain" if retold else "llava_v0"
    batch = collate(
        [item_of(each, template, tokenizer, gap_seed=str(n)) for n, each in zip(seeds, samples, strict=True)]
    )
    batch = {name: values.to(model.device) for name, values in batch.items() if name != "labels"}
    logits = model(**batch).logits
    seen = batch["attention_mask"][:, 1:].bool()
    return F.cross_entropy(logits[:, :-1][seen], batch["input_ids"][:, 1:][seen])


def _told(seed: int, how_many: int) -> Sample:
    return small_talk_sample(seed) if seed % 12 == 0 else text_sample(seed, how_many=how_many)
