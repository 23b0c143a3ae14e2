"""The thread in which the network runs: step after step, until the engine is closed or the device fails.

Requests join and leave from the server's loop; the lock is held for bookkeeping only, never while the network computes.
A failure ends the request that is at fault and no other: the one whose prompt is read, else the longest one where
memory ran out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import torch

from model.engine.errors import EngineBroken, EngineClosed, EngineError, OutOfMemory, QueueFull
from model.engine.faults import as_engine_error, first_sentence, give_memory_back
from model.engine.job import Job, Message, tell_all
from model.engine.numbers import EngineCounts
from model.engine.request import Finished, Reading, Waiting
from model.engine.scheduler import Chunk, Scheduler, Step
from model.engine.slots import Slot
from model.engine.step import Drawn, Stepper
from model.engine.task import Task

_log = logging.getLogger(__name__)
Result = TypeVar("Result")
CLOSE_SECONDS = 2.0
"""How long closing waits for the step that is running. On a CPU one may take many seconds, and nobody reads it then."""


class EngineThread:
    """Runs what the scheduler plans. Everything public may be called from any thread."""

    def __init__(
        self,
        scheduler: Scheduler,
        stepper: Stepper,
        max_waiting: int,
        on_broken: Callable[[str], object],
    ) -> None:
        self.scheduler = scheduler
        self.counts = EngineCounts()
        self._stepper = stepper
        self._max_waiting = max_waiting
        self._on_broken = on_broken
        self._changed = threading.Condition()
        self._retired: set[int] = set()  # keys of adapters that are gone
        self._close_reason: str | None = None
        self._broken: tuple[str, str] | None = None  # kind and cause
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def join(self, task: Task) -> None:
        """Into the line. Raises QueueFull, EngineClosed or EngineBroken."""
        with self._changed:
            self.check_room()
            self.scheduler.join(task)
            # Also behind those that are answered: there may be no slot or no cache left, and then nothing else is told.
            if len(self.scheduler.line) > 1 or self.scheduler.running:
                self._tell_positions()
            self._changed.notify_all()

    def check_room(self) -> None:
        """Raises what `join` would raise now. Never waits; without the lock it may be wrong by one, `join` is not."""
        if self._broken is not None:
            raise EngineBroken(*self._broken)
        if self._close_reason is not None:
            raise EngineClosed(self._close_reason)
        num_running = sum(not task.job.cancelled for task in self.scheduler.running)
        num_waiting = len(self.scheduler.line)
        if num_waiting >= self._max_waiting + self.scheduler.table.num_slots - num_running:
            raise QueueFull(num_waiting)

    def leave(self, task: Task) -> None:
        """Nobody reads its events any more: out of the line at once, out of its slot before the next step."""
        with self._changed:
            task.job.cancel()
            if task in self.scheduler.line:
                self.scheduler.leave(task)
                self._tell_positions()
            self._changed.notify_all()

    def retire(self, key: int) -> None:
        """No request will come with this key any more: what was computed with it is dropped once nobody uses it."""
        with self._changed:
            self._retired.add(key)
            self._changed.notify_all()

    def close(self, reason: str) -> None:
        """Everybody hears EngineClosed at once, also while a step is running; for that it waits CLOSE_SECONDS at most.

        What is allocated is given back when the step is through.
        """
        with self._changed:
            self._close_reason = self._close_reason or reason
            self._dismiss(EngineClosed(self._close_reason))
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            _log.warning("closed while a step was running, which is not waited for")

    @property
    def is_running(self) -> bool:
        """Whether the thread is still there."""
        return self._thread.is_alive()

    # --- in the thread --------------------------------------------------------------------------------

    @property
    def lock(self) -> threading.Condition:
        """Held while scheduler and counts change."""
        return self._changed

    @torch.inference_mode()
    def _work(self) -> None:
        try:
            while (step := self._next_step()) is not None:
                self._carry_out(step)
            self._end_all(EngineClosed(self._close_reason or ""))
        except Exception as error:  # noqa: BLE001 - the thread's edge: else all that wait would wait for ever
            _log.exception("the engine broke")
            with self._changed:
                self._broken = (type(error).__name__, first_sentence(error))
            broken = EngineBroken(*self._broken)
            self._end_all(broken)
            self._on_broken(str(broken))

    def _next_step(self) -> Step | None:
        """Waits for something to do; None when the engine is closed."""
        with self._changed:
            while True:
                for task in self.scheduler.running:
                    if task.job.cancelled:
                        self._release(task)
                self._drop_retired()
                if self._close_reason is not None:
                    return None
                if self.scheduler.has_work:
                    return self._planned()
                self._changed.wait()

    def _planned(self) -> Step:
        step = self.scheduler.plan()
        for chunk in step.chunks:
            if chunk.placed is not None:
                self.counts.num_prompt_tokens += len(chunk.task.ids)
                self.counts.num_reused_tokens += chunk.placed.num_reused
                chunk.task.job.tell(Reading())
        if step.chunks:  # somebody has left the line, or what is read has made another one's rest shorter
            self._tell_positions()
        return step

    def _carry_out(self, step: Step) -> None:
        # What others of this step are to be copied from stays, even where memory runs out.
        sources = {chunk.placed.source for chunk in step.chunks if chunk.placed is not None}
        chunks = [chunk for chunk in step.chunks if self._is_ready(chunk, step, sources)]
        answering = [task for task in step.answering if self._has_room(task)]
        if answering or chunks:
            self._compute(answering, chunks)

    def _compute(self, answering: Sequence[Task], chunks: Sequence[Chunk]) -> None:
        """One pass over these; where it fails with several chunks, one after the other, so that only one ends."""
        suspect = chunks[0].task if chunks else max(answering, key=lambda task: len(task.held_slot.ids))
        drawn = self._tried(lambda: self._stepper.run(answering, chunks), suspect)
        if not isinstance(drawn, EngineError):
            self._count(answering, chunks)
            self._tell_drawn(drawn)
        elif len(chunks) > 1:
            self._compute(answering, chunks[:1])
            for chunk in chunks[1:]:
                self._compute([], [chunk])
        else:
            alone = bool(chunks) or isinstance(drawn, OutOfMemory)
            for task in [suspect] if alone else answering:
                self._fail(task, drawn)

    def _is_ready(self, chunk: Chunk, step: Step, sources: Collection[Slot | None]) -> bool:
        """Whether it can be read now: its room is there, and its pictures."""
        ready = self._tried(lambda: self._prepare(chunk, step), chunk.task, keep=sources)
        if isinstance(ready, EngineError):
            self._fail(chunk.task, ready)
            return False
        return ready

    def _prepare(self, chunk: Chunk, step: Step) -> bool:
        """Room for a prompt whose turn has come, and its pictures; False while those are not all there."""
        if chunk.placed is not None:
            self._stepper.place(chunk.placed, chunk.task)
        return self._stepper.encode(chunk.task, at_once=step.hurried or not step.answering)

    def _has_room(self, task: Task) -> bool:
        error = self._tried(lambda: self._stepper.reserve(task), task)
        if error is not None:
            self._fail(task, error)
        return error is None

    def _count(self, answering: Sequence[Task], chunks: Sequence[Chunk]) -> None:
        with self._changed:
            self.counts.num_steps += 1
            self.counts.num_rows += len(answering)
            for task in answering:
                self.scheduler.token_read(task)
            for chunk in chunks:
                self.counts.num_rows += chunk.stop - chunk.start
                self.scheduler.chunk_read(chunk)
                if chunk.is_last:
                    self._stepper.forget_reading(chunk.task)
                    chunk.task.job.let_go_of_pictures()

    def _tell_drawn(self, drawn: Sequence[Drawn]) -> None:
        """Hands out the step's tokens as text; who is finished leaves its slot."""
        messages: list[tuple[Job, Message]] = []
        for task, token in drawn:
            if isinstance(token, EngineError):
                self._fail(task, token)
                continue
            self.counts.num_tokens_made += 1
            task.token = token
            events = task.answer.feed(token)
            messages += [(task.job, event) for event in events]
            if events and isinstance(events[-1], Finished):
                with self._changed:
                    self._release(task)
        tell_all(messages)

    # --- when something ends --------------------------------------------------------------------------

    def _tried(
        self, action: Callable[[], Result], task: Task, keep: Collection[Slot | None] = ()
    ) -> Result | EngineError:
        """What `action` gives, or why it failed; where memory ran out, tried again without remembered prefixes.

        The exception itself is not kept: its frames hold tensors.
        """
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - whatever the network raises must end one answer only
            fault = self._as_error(error, task)
        if isinstance(fault, OutOfMemory) and self._drop_idle(keep):
            try:
                return action()
            except Exception as error:  # noqa: BLE001 - the same
                fault = self._as_error(error, task)
        if isinstance(fault, OutOfMemory):
            give_memory_back()
        return fault

    def _as_error(self, error: Exception, task: Task) -> EngineError:
        num_tokens = max(len(task.ids), len(task.held_slot.ids))
        return as_engine_error(error, num_tokens, len(task.spans))

    def _fail(self, task: Task, error: EngineError) -> None:
        """Ends one request and gives its memory back."""
        with self._changed:
            self._release(task, remember=False)
        task.job.tell(error)

    def _release(self, task: Task, *, remember: bool = True) -> None:
        slot = task.held_slot
        self.scheduler.leave(task)
        self._stepper.forget_reading(task)
        if not remember:
            self._forget(slot)

    def _forget(self, slot: Slot) -> None:
        self.scheduler.table.forget(slot)
        self._stepper.release(slot)

    def _drop_idle(self, keep: Collection[Slot | None]) -> bool:
        """Forgets what nobody uses; False where there was nothing."""
        with self._changed:
            idle = [slot for slot in self.scheduler.table.idle() if slot not in keep]
            for slot in idle:
                self._forget(slot)
        give_memory_back()
        return bool(idle)

    def _drop_retired(self) -> None:
        for slot in self.scheduler.table.idle():
            if slot.key in self._retired:
                self._forget(slot)

    def _end_all(self, error: EngineError) -> None:
        """Everybody hears it, and nothing stays allocated."""
        with self._changed:
            self._dismiss(error)
            for task in self.scheduler.running:
                self.scheduler.leave(task)
            for slot in self.scheduler.table.slots:
                self._forget(slot)
            self._stepper.pictures.forget()

    def _dismiss(self, error: EngineError) -> None:
        """The last thing that anybody is told; who has a slot keeps it until the thread comes to it."""
        waiting = list(self.scheduler.line)
        ended = [task.job for task in [*waiting, *self.scheduler.running] if not task.job.cancelled]
        tell_all((job, error) for job in ended)
        for job in ended:
            job.cancel()
        for task in waiting:
            self.scheduler.leave(task)

    def _tell_positions(self) -> None:
        """To everybody whose place has changed."""
        messages: list[tuple[Job, Message]] = []
        for place, task in enumerate(self.scheduler.in_turn(), start=1):
            if task.position != place:
                task.position = place
                messages.append((task.job, Waiting(place)))
        tell_all(messages)
