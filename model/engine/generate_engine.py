"""The first engine: one answer at a time, the others wait in line with a position.

The network runs in one thread of its own, so that the server's loop never blocks. Closing a stream cancels: a waiting
request leaves the line at once, a running one ends before its next token.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from model.engine.errors import (
    AdapterError,
    EngineBroken,
    EngineClosed,
    EngineError,
    GenerationFailed,
    OutOfMemory,
    QueueFull,
    UnknownAdapter,
)
from model.engine.generation import Generation, room_for_answer
from model.engine.job import Job
from model.engine.numbers import EngineNumbers
from model.engine.request import Event, Finished, GenerationRequest, Piece, Reading, Waiting

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel

_log = logging.getLogger(__name__)
# What PyTorch's allocators say in a plain RuntimeError: on the CPU, and by cuBLAS or cuDNN on CUDA.
_OUT_OF_MEMORY_WORDS = ("not enough memory", "out of memory", "can't allocate memory", "ALLOC_FAILED")


class GenerateEngine:
    """Makes answers with one loaded model, first come, first served."""

    def __init__(
        self,
        loaded: LoadedModel,
        max_waiting: int = 64,
        on_broken: Callable[[str], object] = lambda reason: None,
    ) -> None:
        """`on_broken` hears once, in the engine's thread, why no answer can be made any more."""
        self._loaded = loaded
        self._on_broken = on_broken
        self._max_waiting = max_waiting
        self._line: deque[Job] = deque()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._close_reason: str | None = None
        self._broken: tuple[str, str] | None = None  # kind and cause
        self.num_tokens_made = 0
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def num_running(self) -> int:
        """Answers being made right now."""
        return 0 if self._running is None else 1

    @property
    def num_waiting(self) -> int:
        """Requests in line."""
        return len(self._line)

    def numbers(self) -> EngineNumbers:
        return EngineNumbers(
            num_running=self.num_running,
            num_waiting=self.num_waiting,
            num_tokens_made=self.num_tokens_made,
            num_slots=1,
        )

    @property
    def adapters(self) -> tuple[str, ...]:
        return ()

    async def load_adapter(self, name: str, folder: Path) -> None:
        raise AdapterError(f"This engine serves no adapters, so {folder} was not loaded.")

    async def unload_adapter(self, name: str) -> None:
        raise UnknownAdapter(name, self.adapters)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Event]:
        """The events of one answer, Finished last; raises an EngineError. Closing it cancels within one token."""
        room_for_answer(request, self._loaded.context_tokens)
        job = Job(request, asyncio.get_running_loop())
        self._join(job)
        try:
            while True:
                event = await job.events.get()
                if isinstance(event, EngineError):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            self._leave(job)

    async def close(self, reason: str = "the worker is shutting down") -> None:
        """Ends everything that waits or runs with EngineClosed and joins the thread. Safe to call twice."""
        with self._changed:
            self._close_reason = self._close_reason or reason
            for job in self._line:
                job.tell(EngineClosed(reason))
            self._line.clear()
            self._changed.notify_all()
        await asyncio.to_thread(self._thread.join)

    def _join(self, job: Job) -> None:
        with self._changed:
            if self._broken is not None:
                raise EngineBroken(*self._broken)
            if self._close_reason is not None:
                raise EngineClosed(self._close_reason)
            if len(self._line) >= self._max_waiting:
                raise QueueFull(len(self._line))
            self._line.append(job)
            if self._running is not None or len(self._line) > 1:
                job.tell(Waiting(len(self._line)))
            self._changed.notify_all()

    def _leave(self, job: Job) -> None:
        with self._changed:
            job.cancel()
            if job in self._line:
                self._line.remove(job)
                self._tell_positions()

    def _tell_positions(self) -> None:
        for position, job in enumerate(self._line, start=1):
            job.tell(Waiting(position))

    def _next_job(self) -> Job | None:
        """Waits for the next request; None when the engine is closed."""
        with self._changed:
            self._running = None
            self._changed.wait_for(lambda: self._line or self._close_reason is not None)
            if self._close_reason is not None:
                return None
            self._running = self._line.popleft()
            self._tell_positions()
            return self._running

    @torch.inference_mode()
    def _work(self) -> None:
        try:
            while (job := self._next_job()) is not None:
                error = self._answer(job)
                if error is not None:
                    job.tell(error)
                    _give_memory_back()
        except Exception as error:  # noqa: BLE001 - the thread's edge: else all that wait would wait for ever
            _log.exception("the engine broke")
            self._break(type(error).__name__, _first_sentence(error))

    def _break(self, kind: str, cause: str) -> None:
        """Tells everybody. A job that has got its own error already reads no second one."""
        with self._changed:
            self._broken = (kind, cause)
            for job in (self._running, *self._line):
                if job is not None:
                    job.tell(EngineBroken(kind, cause))
            self._line.clear()
            self._running = None
        self._on_broken(str(EngineBroken(kind, cause)))

    def _answer(self, job: Job) -> EngineError | None:
        """Makes one answer. The exception is returned, not kept: its frames hold the request's tensors."""
        if job.cancelled:  # it left just as its turn came
            return None
        generation: Generation | None = None
        try:
            job.tell(Reading())
            generation = Generation(self._loaded, job.request)
            self._pump(job, generation)
        except EngineError as error:
            return error
        except Exception as error:  # whatever the network raises must end this answer only
            if _is_out_of_memory(error):
                num_tokens = len(job.request.input_ids) + (generation.num_tokens if generation else 0)
                _log.warning("out of memory at %d tokens: %s", num_tokens, error)
                return OutOfMemory(num_tokens, len(job.request.pictures), _first_sentence(error))
            if isinstance(error, torch.AcceleratorError):
                raise  # a fault of the device: every later call to it fails too
            _log.exception("the network failed")
            return GenerationFailed(type(error).__name__, _first_sentence(error))
        return None

    def _pump(self, job: Job, generation: Generation) -> None:
        counted = 0
        for event in generation.run():
            self.num_tokens_made += generation.num_tokens - counted
            counted = generation.num_tokens
            if isinstance(event, Piece | Finished):
                job.tell(event)
            if self._close_reason is not None and not isinstance(event, Finished):
                raise EngineClosed(self._close_reason)
            if job.cancelled:
                return


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY_WORDS)


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _give_memory_back() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
