"""Attention of each sequence's rows over its own slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from model.engine.batch import Span
from model.engine.slot_memory import SlotMemory


@dataclass(frozen=True, slots=True)
class Look:
    """Query rows `start` to `stop` look at the first `num_seen` tokens in `memory`, as far as the mask lets them.

    The mask is [n, num_seen], or None where a plain causal one or none says it.
    """

    memory: SlotMemory
    start: int
    stop: int
    num_seen: int
    mask: Tensor | None = None

    def on_device(self, device: torch.device) -> Look:
        """The same with its mask there."""
        return self if self.mask is None else replace(self, mask=self.mask.to(device))


def look(span: Span) -> Look:
    """Each of a span's rows sees what was there before, the rows before it and itself."""
    num_rows = span.stop - span.start
    num_seen = span.num_past + num_rows
    if num_rows == 1 or span.num_past == 0:
        return Look(span.memory, span.start, span.stop, num_seen)
    mask = torch.ones(num_rows, num_seen, dtype=torch.bool).tril(span.num_past)
    return Look(span.memory, span.start, span.stop, num_seen, mask)


def looks_of(wanted: Sequence[int], spans: Sequence[Span]) -> list[Look]:
    """The wanted rows' own, counted in wanted rows, which are in ascending order, as spans are."""
    looks: list[Look] = []
    for span in spans:
        while len(looks) < len(wanted) and wanted[len(looks)] < span.stop:
            num_seen = span.num_past + wanted[len(looks)] - span.start + 1
            looks.append(Look(span.memory, len(looks), len(looks) + 1, num_seen))
    return looks


def remember(index: int, spans: Sequence[Span], keys_values: Tensor) -> None:
    """Rows' keys and then values, [R, 2K, Dh], into layer `index` of their slots."""
    by_kind = keys_values.unflatten(1, (2, 1, -1)).permute(1, 2, 3, 0, 4)  # [2, 1, K, R, Dh]
    for span in spans:
        num_rows = span.stop - span.start
        room = span.memory.layers[index].narrow(3, span.num_past, num_rows)
        room.copy_(by_kind.narrow(3, span.start, num_rows))


def attend(index: int, queries: Tensor, looks: Sequence[Look], scaling: float) -> Tensor:
    """Query rows [R, H, Dh] over layer `index` of their slots -> [R, H * Dh]; rows that do not look get zeros."""
    num_rows, num_heads, head_dim = queries.shape
    num_kv_heads = looks[0].memory.layers[index].shape[2]
    # One row alone: the heads that share keys are rows of one query, so nothing is copied.
    alone = queries.view(num_rows, num_kv_heads, -1, head_dim).split(1)
    results: list[Tensor] = []
    for each in looks:
        keys, values = each.memory.layers[index].narrow(3, 0, each.num_seen).unbind(0)
        if each.stop - each.start == 1:
            result = scaled_dot_product_attention(alone[each.start], keys, values, scale=scaling)
            results.append(result.reshape(1, -1))
            continue
        result = scaled_dot_product_attention(
            queries[each.start : each.stop].transpose(0, 1)[None],
            keys,
            values,
            attn_mask=each.mask,
            is_causal=each.mask is None,
            scale=scaling,
            enable_gqa=num_heads != num_kv_heads,
        )
        results.append(result[0].transpose(0, 1).reshape(each.stop - each.start, -1))
    num_looking = looks[-1].stop
    if num_looking < num_rows:
        results.append(queries.new_zeros(num_rows - num_looking, num_heads * head_dim))
    return torch.cat(results) if len(results) > 1 else results[0]
