"""One flat batch of token rows: which rows belong to which sequence, and what stands in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from model.engine.linears import AdaptedRows
from model.engine.slot_memory import SlotMemory

if TYPE_CHECKING:
    from model.engine.task import Task


@dataclass(frozen=True, slots=True)
class Span:
    """Rows `start` to `stop` of a batch continue the sequence in `memory` after its first `num_past` tokens."""

    memory: SlotMemory
    start: int
    stop: int
    num_past: int

    @property
    def places(self) -> range:
        """The rows' positions in the sequence."""
        return range(self.num_past, self.num_past + self.stop - self.start)


@dataclass(frozen=True, slots=True)
class FilledRows:
    """What stands at the rows from `start` on instead of their ids' embeddings: [n, Dt]."""

    start: int
    features: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """R rows: their ids (any valid one where `filled` covers them) and whose they are.

    `wanted` are the rows whose scores are asked for, in ascending order.
    """

    ids: Sequence[int]
    spans: Sequence[Span]
    filled: Sequence[FilledRows]
    adapted: Sequence[AdaptedRows]
    wanted: Sequence[int]


@dataclass(frozen=True, slots=True)
class Part:
    """One task's rows: `ids`, after the first `num_past` tokens in its slot. `filled` counts from its first row."""

    task: Task
    memory: SlotMemory
    ids: Sequence[int]
    num_past: int
    wants_scores: bool  # those of its last row
    filled: list[FilledRows] = field(default_factory=list)


def join(parts: Sequence[Part]) -> Batch:
    """One batch of all parts, in their order; neighbours of one adapter are changed by one product."""
    ids: list[int] = []
    spans: list[Span] = []
    filled: list[FilledRows] = []
    adapted: list[AdaptedRows] = []
    wanted: list[int] = []
    for part in parts:
        start = len(ids)
        ids += part.ids
        spans.append(Span(part.memory, start, len(ids), part.num_past))
        filled += [FilledRows(start + each.start, each.features) for each in part.filled]
        if part.wants_scores:
            wanted.append(len(ids) - 1)
        adapter = part.task.adapter
        if adapter is not None:
            if adapted and adapted[-1].deltas is adapter.deltas:
                start = adapted.pop().start
            adapted.append(AdaptedRows(start, len(ids), adapter.deltas))
    return Batch(ids, spans, filled, adapted, wanted)
