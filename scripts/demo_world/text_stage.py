"""The language model: a small LLaMA that learns the world's language from text alone, scenes told in words."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from conversations.template import TEMPLATES
from scripts.demo_world.batch import make_batch
from scripts.demo_world.samples import retold_sample, small_talk_sample, text_sample

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
    if step % 5 == 4:
        batch = make_batch([retold_sample(seed) for seed in seeds], TEMPLATES["plain"], tokenizer, seed=step)
    else:
        samples = [
            small_talk_sample(s) if s % 12 == 0 else text_sample(s, how_many=4 + step % 3) for s in seeds
        ]
        batch = make_batch(samples, TEMPLATES["llava_v0"], tokenizer, seed=step)
    batch = batch.to(str(model.device))
    logits = model(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, position_ids=batch.position_ids
    ).logits
    seen = batch.attention_mask[:, 1:].bool()
    return F.cross_entropy(logits[:, :-1][seen], batch.input_ids[:, 1:][seen])
