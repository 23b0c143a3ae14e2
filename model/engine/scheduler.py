"""Who is read, who is answered, who waits: one step after the other. No torch here.

Everybody whose prompt has been read gets a token in every step. Of the prompts one is read at a time, chunk by chunk;
beside it only such as are read to their end in that very step, follow-up questions above all. While others are being
answered the chunks are small, so that they keep moving; larger while more wait to be read; alone the largest.

Who has the least left to read is next: a follow-up does not wait behind a stranger's picture, and finds what it shares
before that is driven out. Nobody is passed more than MOST_PASSED times.

A request gets its slot when its reading begins, not before: what the one before it has read (the same picture, say) is
then there to be copied.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass

from model.engine.slots import Placement, SlotTable, shared_prefix
from model.engine.task import Task

MOST_PASSED = 32
"""How many that came later may be read before a request; each of them is shorter than it."""


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """How many prompt tokens are read in one step; measured on a CPU (docs/decisions/0008)."""

    alone: int = 512
    beside: int = 32  # while others are being answered
    hurried: int = 256  # while others are being answered, for those who had to wait or while others wait


ON_A_CPU = ChunkSizes()
ON_A_GPU = ChunkSizes(alone=2048, beside=256, hurried=512)
"""Not measured: small chunks leave a GPU idle, since a step reads all weights whatever its number of rows."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The prompt tokens `start` to `stop` of a task. `placed` is news: its reading begins."""

    task: Task
    start: int
    stop: int
    placed: Placement | None = None

    @property
    def is_last(self) -> bool:
        return self.stop == len(self.task.ids)


@dataclass(frozen=True, slots=True)
class Step:
    """What to compute next: a row for each of `answering`, and the chunks; all but the first are whole rests.

    `hurried`: the chunks are not held small for the sake of `answering`.
    """

    answering: tuple[Task, ...]
    chunks: tuple[Chunk, ...]
    hurried: bool


class Scheduler:
    """The line, those that are read, and those that are answered. Only one thread may call at a time."""

    def __init__(self, table: SlotTable, sizes: ChunkSizes) -> None:
        self.table = table
        self._sizes = sizes
        self.line: deque[Task] = deque()
        self.reading: list[
            Task
        ] = []  # the first may need many steps, the others just the one that is planned
        self.answering: list[Task] = []

    @property
    def running(self) -> list[Task]:
        """All that hold a slot."""
        return [*self.reading, *self.answering]

    @property
    def has_work(self) -> bool:
        return bool(self.line or self.reading or self.answering)

    def join(self, task: Task) -> None:
        """To the end of the line."""
        task.has_waited = bool(self.line or self.reading)
        self.line.append(task)

    def leave(self, task: Task) -> None:
        """Out of the line, or out of its slot, which stays remembered. Does nothing for one that has left."""
        for place in (self.line, self.reading, self.answering):
            if task in place:
                place.remove(task)
        if task.slot is not None:
            self.table.free(task.slot)
            task.slot = None

    def in_turn(self) -> list[Task]:
        """The line as it would be served if nobody else came: who was passed often enough, then who has the least to
        read, and of equals who came first."""
        due = list(itertools.takewhile(lambda task: task.num_passed >= MOST_PASSED, self.line))
        return [*due, *sorted(itertools.islice(self.line, len(due), None), key=self._num_to_read)]

    def plan(self) -> Step:
        """The next step; it may be empty only when nothing can be done."""
        others_wait = bool(self.line)
        placed = None
        if not self.reading and self.line and not self.table.is_full:
            placed = self._place(self.in_turn()[0])
        if not self.reading:
            return Step(tuple(self.answering), (), hurried=False)
        first = self.reading[0]
        hurried = len(self.line) > 0 or first.has_waited
        room = self._chunk_size(hurried=hurried)
        beside = self._read_beside(first, room) if others_wait else []
        room -= sum(chunk.stop - chunk.start for chunk in beside)
        chunk = Chunk(first, first.num_read, min(first.num_read + room, len(first.ids)), placed)
        return Step(tuple(self.answering), (chunk, *beside), hurried)

    def _chunk_size(self, *, hurried: bool) -> int:
        if not self.answering:
            return self._sizes.alone
        return self._sizes.hurried if hurried else self._sizes.beside

    def chunk_read(self, chunk: Chunk) -> None:
        """Its keys and values are in the slot; after the last chunk the task is answered."""
        task = chunk.task
        task.held_slot.ids.extend(task.ids[chunk.start : chunk.stop])
        task.num_read = chunk.stop
        if chunk.is_last:
            self.reading.remove(task)
            self.answering.append(task)

    def token_read(self, task: Task) -> None:
        """The token drawn before is in the slot now."""
        if task.token is not None:
            task.held_slot.ids.append(task.token)

    def _num_to_read(self, task: Task) -> int:
        return max(1, len(task.ids) - task.remembered.num_tokens(self.table))

    def _read_beside(self, first: Task, room: int) -> list[Chunk]:
        """Those from the line whose whole rest is read along with the first one's chunk, of which half goes on.

        Who needs a picture waits for a turn of its own, and so does who shares more with what is just being read.
        """
        chunks: list[Chunk] = []
        if self.table.is_full:
            return chunks
        room -= min(first.num_left, room - room // 2)
        for task in sorted(self.line, key=self._num_to_read):
            num_left = self._num_to_read(
                task
            )  # again: those before may have taken the place of what it shares
            if num_left > room:
                break
            num_read = len(task.ids) - num_left
            if any(span.stop > num_read for span in task.spans) or self._is_being_read(task, num_read):
                continue
            placed = self._place(task)
            if placed is None:
                break
            chunks.append(Chunk(task, task.num_read, len(task.ids), placed))
            room -= task.num_left
        return chunks

    def _is_being_read(self, task: Task, num_read: int) -> bool:
        """Whether more of it than `num_read` will be there to be copied soon."""
        return any(
            each.key == task.key and shared_prefix(each.ids, task.ids) > num_read for each in self.reading
        )

    def _place(self, task: Task) -> Placement | None:
        placed = self.table.place(task.key, task.ids, task.most_tokens)
        if placed is not None:
            for passed in itertools.takewhile(lambda each: each is not task, self.line):
                passed.num_passed += 1
            self.line.remove(task)
            self.reading.append(task)
            task.slot, task.num_read = placed.slot, placed.num_reused
        return placed
