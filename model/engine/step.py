"""Carries out one planned step: pictures, one forward pass over all rows, one drawn token for each that is due.

It knows tensors and slots but neither line nor readers. A step that fails changes nothing that counts: lengths move on
only when the pass is through, so the same rows can be computed again without the one that was at fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from model.engine.batch import FilledRows, Part, join
from model.engine.errors import GenerationFailed
from model.engine.network import Network
from model.engine.pictures import PictureMemory
from model.engine.sampling import draw
from model.engine.scheduler import Chunk
from model.engine.slot_memory import SlotMemory
from model.engine.slots import Placement, Slot
from model.engine.task import Task

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel

Drawn = tuple[Task, int | GenerationFailed]
_DONE = object()


class Stepper:
    """The network with its slots' memory and its pictures."""

    def __init__(self, loaded: LoadedModel, num_slots: int, *, take_weights: bool) -> None:
        self.network = Network(loaded.model, loaded.context_tokens, take_weights=take_weights)
        self.pictures = PictureMemory(loaded.model, loaded.pixels)
        self._projector = loaded.model.model.multi_modal_projector
        self._memories = [SlotMemory(self.network.shape) for _ in range(num_slots)]
        # Of the prompt that is being read: its pictures' features [P, Dt], and the encoding of the next one.
        self._reading: Task | None = None
        self._features: dict[str, Tensor] = {}
        self._encoding: Iterator[None] | None = None

    @property
    def cache_bytes(self) -> int:
        """What the slots' keys and values take now."""
        return sum(memory.capacity for memory in self._memories) * self.network.shape.token_bytes

    def release(self, slot: Slot) -> None:
        """Gives a slot's memory back."""
        self._memories[slot.number].release()

    def place(self, placed: Placement, task: Task) -> None:
        """Makes room for a prompt and copies the part of it that another slot holds."""
        for slot in placed.evicted:
            self.release(slot)
        memory = self._memories[placed.slot.number]
        in_place = placed.source is placed.slot
        memory.reserve(
            len(task.ids), length=placed.num_reused if in_place else 0, at_most=placed.slot.reserved
        )
        placed.slot.held = memory.capacity
        if placed.source is not None and not in_place:
            memory.copy_from(self._memories[placed.source.number], placed.num_reused)

    def encode(self, task: Task, *, at_once: bool) -> bool:
        """Goes on with the pictures that the rest of the prompt needs; True when they are all there.

        A prompt whose pictures are read already needs none and disturbs no other's. Between two calls running answers
        can go on: a call runs one layer of the tower, or all with `at_once`.
        """
        if all(span.stop <= task.num_read for span in task.spans):
            return True
        if self._reading is not task:
            self._reading, self._features, self._encoding = task, {}, None
        for span in task.spans:
            picture = task.request.pictures[span.index]
            while span.stop > task.num_read and picture.sha256 not in self._features:
                features = self.pictures.features(picture.sha256, self._projector_of(task))
                if features is not None:
                    self._features[picture.sha256] = features
                    break
                self._encoding = self._encoding or self.pictures.encode(picture)
                if next(self._encoding, _DONE) is _DONE:
                    self._encoding = None
                elif not at_once:
                    return False
        return True

    def forget_reading(self, task: Task) -> None:
        """Its prompt is read, or it has left: its pictures' features are not needed any more."""
        if self._reading is task:
            self._reading, self._features, self._encoding = None, {}, None

    def _projector_of(self, task: Task) -> torch.nn.Module:
        own = None if task.adapter is None else task.adapter.projector
        return self._projector if own is None else own

    def reserve(self, task: Task) -> None:
        """Room for one more token of an answer."""
        slot = task.held_slot
        memory = self._memories[slot.number]
        memory.reserve(len(slot.ids) + 1, length=len(slot.ids), at_most=slot.reserved)
        slot.held = memory.capacity

    def run(self, answering: Sequence[Task], chunks: Sequence[Chunk]) -> list[Drawn]:
        """One pass -> a token for each of `answering`, and for each chunk's task when that was its last chunk."""
        parts = [self._token_part(task) for task in answering]
        parts += map(self._chunk_part, chunks)
        parts.sort(key=lambda part: part.task.key)  # rows of one adapter lie together
        batch = join(parts)
        due = [part.task for part in parts if part.wants_scores]
        if not due:
            self.network.advance(batch)
            return []
        scores = self.network.scores(batch)
        drawn = draw(scores, [task.request.sampling for task in due], [task.chance for task in due])
        return list(zip(due, drawn, strict=True))

    def _token_part(self, task: Task) -> Part:
        """The token that was drawn last; there is one as soon as a task is being answered."""
        memory = self._memories[task.held_slot.number]
        return Part(task, memory, [int(task.token or 0)], len(task.held_slot.ids), wants_scores=True)

    def _chunk_part(self, chunk: Chunk) -> Part:
        task = chunk.task
        memory = self._memories[task.held_slot.number]
        vocab_size = self.network.vocab_size
        ids = [token_id if token_id < vocab_size else 0 for token_id in task.ids[chunk.start : chunk.stop]]
        part = Part(task, memory, ids, chunk.start, wants_scores=chunk.is_last)
        for span in task.spans:
            start, stop = max(span.start, chunk.start), min(span.stop, chunk.stop)
            if start < stop:
                features = self._features[task.request.pictures[span.index].sha256]
                part.filled.append(
                    FilledRows(start - chunk.start, features[start - span.start : stop - span.start])
                )
        return part
