"""What the server's loop and the engine's thread share of one request. No torch here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import replace

from model.engine.errors import EngineError
from model.engine.request import Event, GenerationRequest

Message = Event | EngineError


class Job:
    """The thread tells, the loop reads. Cancelling is one flag, seen by the thread before every step."""

    def __init__(self, request: GenerationRequest, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.events: asyncio.Queue[Message] = asyncio.Queue()
        self.loop = loop
        self._cancelled = threading.Event()

    def tell(self, event: Message) -> None:
        """From any thread. A loop that is already closed has no reader left, so the event is dropped."""
        tell_all([(self, event)])

    def let_go_of_pictures(self) -> None:
        """They have been read, and what was read of them is in the cache."""
        self.request = replace(self.request, pictures=())

    def cancel(self) -> None:
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()


def tell_all(messages: Iterable[tuple[Job, Message]]) -> None:
    """Many messages of one step: each loop is woken once, since waking one costs a system call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Job, Message]]] = {}
    for job, message in messages:
        by_loop.setdefault(job.loop, []).append((job, message))
    for loop, mine in by_loop.items():
        try:
            loop.call_soon_threadsafe(_put, mine)
        except RuntimeError:  # the loop is closed
            for job, _ in mine:
                job.cancel()


def _put(messages: list[tuple[Job, Message]]) -> None:
    for job, message in messages:
        job.events.put_nowait(message)
