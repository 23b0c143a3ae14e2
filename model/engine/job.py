"""One request on its way through an engine: what the server's loop and the engine's thread share. No torch here."""

from __future__ import annotations

import asyncio
import threading

from model.engine.errors import EngineError
from model.engine.request import Event, GenerationRequest


class Job:
    """The thread tells, the loop reads. Cancelling is one flag, seen by the thread before every token."""

    def __init__(self, request: GenerationRequest, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.events: asyncio.Queue[Event | EngineError] = asyncio.Queue()
        self._loop = loop
        self._cancelled = threading.Event()

    def tell(self, event: Event | EngineError) -> None:
        """From any thread. A loop that is already closed has no reader left, so the event is dropped."""
        try:
            self._loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:
            self._cancelled.set()

    def cancel(self) -> None:
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()
