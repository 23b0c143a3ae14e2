"""Rows look at their own slots, and rows that fill a batch up look at nothing."""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention

from model.engine.attention import attend, look, remember
from model.engine.batch import Span
from model.engine.slot_memory import CacheShape, SlotMemory

HEADS, KV_HEADS, HEAD_DIM = 4, 2, 8
SHAPE = CacheShape(KV_HEADS, HEAD_DIM, torch.float32, (torch.device("cpu"),))


def slot(num_tokens: int) -> SlotMemory:
    memory = SlotMemory(SHAPE)
    memory.reserve(num_tokens, length=0, at_most=num_tokens)
    memory.layers[0].normal_()
    return memory


@torch.inference_mode()
def test_each_sequence_is_attended_as_alone_and_rows_beyond_them_get_zeros() -> None:
    torch.manual_seed(0)
    spans = [Span(slot(9), 0, 1, 8), Span(slot(7), 1, 4, 4), Span(slot(3), 4, 7, 0)]
    queries = torch.randn(9, HEADS, HEAD_DIM)
    keys_values = torch.randn(9, 2 * KV_HEADS, HEAD_DIM)
    remember(0, spans, keys_values)
    attended = attend(0, queries, [look(span) for span in spans], 0.5)
    assert attended[7:].count_nonzero() == 0
    for span in spans:
        rows = slice(span.start, span.stop)
        cache = span.memory.layers[0][:, 0, :, : span.places.stop]  # [2, K, L, Dh]
        new = keys_values[rows].unflatten(1, (2, KV_HEADS)).permute(1, 2, 0, 3)
        torch.testing.assert_close(cache[..., span.num_past :, :], new)
        keys, values = cache.repeat_interleave(HEADS // KV_HEADS, dim=1)
        sees = torch.ones(span.places.stop, span.places.stop).tril()[span.num_past :].bool()
        alone = scaled_dot_product_attention(
            queries[rows].transpose(0, 1), keys, values, attn_mask=sees, scale=0.5
        )
        torch.testing.assert_close(attended[rows], alone.transpose(0, 1).flatten(1))
