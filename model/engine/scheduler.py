"""Who is read, who is answered, who waits: one step after the other. No torch here.

One request's prompt is read at a time, first come, first served; everybody whose prompt has been read gets a token in
every step. While others are being answered the prompt is read in small chunks, so that they keep moving; in larger ones
while more wait to be read; alone, in the largest, which is fastest.

A request gets its slot when its reading begins, not before: what the one before it has read (the same picture, say) is
then there to be copied.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from model.engine.slots import Placement, SlotTable
from model.engine.task import Task


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """How many prompt tokens are read in one step; measured on a CPU (docs/decisions/0008)."""

    alone: int = 512
    beside: int = 32  # while others are being answered
    hurried: int = 128  # while others are being answered and others still wait to be read


ON_A_CPU = ChunkSizes()
ON_A_GPU = ChunkSizes(alone=2048, beside=256, hurried=512)
"""Not measured: small chunks leave a GPU idle, since a step reads all weights whatever its number of rows."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The prompt tokens `start` to `stop` of a task."""

    task: Task
    start: int
    stop: int

    @property
    def is_last(self) -> bool:
        return self.stop == len(self.task.ids)


@dataclass(frozen=True, slots=True)
class Step:
    """What to compute next: a row for each of `answering`, and the chunk. `placed` is news about the chunk's task."""

    answering: tuple[Task, ...]
    chunk: Chunk | None
    placed: Placement | None


class Scheduler:
    """The line, the one that is read, and those that are answered. Only one thread may call at a time."""

    def __init__(self, table: SlotTable, sizes: ChunkSizes) -> None:
        self.table = table
        self._sizes = sizes
        self.line: deque[Task] = deque()
        self.reading: Task | None = None
        self.answering: list[Task] = []

    @property
    def running(self) -> list[Task]:
        """All that hold a slot."""
        return [*([] if self.reading is None else [self.reading]), *self.answering]

    @property
    def has_work(self) -> bool:
        return bool(self.line or self.reading or self.answering)

    def join(self, task: Task) -> None:
        """To the end of the line."""
        self.line.append(task)

    def leave(self, task: Task) -> None:
        """Out of the line, or out of its slot, which stays remembered. Does nothing for one that has left."""
        if task in self.line:
            self.line.remove(task)
        if task is self.reading:
            self.reading = None
        if task in self.answering:
            self.answering.remove(task)
        if task.slot is not None:
            self.table.free(task.slot)
            task.slot = None

    def plan(self) -> Step:
        """The next step; it may be empty only when nothing can be done."""
        placed = None
        if self.reading is None and self.line:
            placed = self._place_next()
        chunk = None
        if self.reading is not None:
            size = self._chunk_size()
            start = self.reading.num_read
            chunk = Chunk(self.reading, start, min(start + size, len(self.reading.ids)))
        return Step(tuple(self.answering), chunk, placed)

    def _chunk_size(self) -> int:
        if not self.answering:
            return self._sizes.alone
        return self._sizes.hurried if self.line else self._sizes.beside

    def chunk_read(self, chunk: Chunk) -> None:
        """Its keys and values are in the slot; after the last chunk the task is answered."""
        task = chunk.task
        task.held_slot.ids.extend(task.ids[chunk.start : chunk.stop])
        task.num_read = chunk.stop
        if chunk.is_last:
            self.reading = None
            self.answering.append(task)

    def token_read(self, task: Task) -> None:
        """The token drawn before is in the slot now."""
        if task.token is not None:
            task.held_slot.ids.append(task.token)

    def _place_next(self) -> Placement | None:
        task = self.line[0]
        placed = self.table.place(task.key, task.ids, task.most_tokens)
        if placed is not None:
            self.line.popleft()
            self.reading = task
            task.slot, task.num_read = placed.slot, placed.num_reused
        return placed
