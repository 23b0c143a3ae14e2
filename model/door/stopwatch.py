"""One request's times on their way into the metrics: when it was read, when its first text came, how it ended."""

from __future__ import annotations

import time

from model.door.metrics import Metrics
from model.engine.request import Event, Finished, Piece, Waiting


class Stopwatch:
    """Runs from when it is made; `end` counts once, whatever is said afterwards."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started = time.monotonic()
        self._first_text_at: float | None = None
        self._has_begun = False
        self._has_ended = False

    def see(self, event: Event) -> None:
        """An event of the engine, as it goes out."""
        now = time.monotonic()
        if isinstance(event, Waiting):
            return
        if not self._has_begun:
            self._has_begun = True
            self._metrics.began(now - self._started)
        if isinstance(event, Piece) and self._first_text_at is None:
            self._first_text_at = now
            self._metrics.first_token(now - self._started)
        if isinstance(event, Finished):
            if self._first_text_at is not None and event.num_completion_tokens > 1:
                self._metrics.per_token((now - self._first_text_at) / (event.num_completion_tokens - 1))
            self.end(event.reason)

    def end(self, reason: str) -> None:
        """How it ended: a finish reason, an error's code, or metrics.LEFT."""
        if not self._has_ended:
            self._has_ended = True
            self._metrics.ended(reason, time.monotonic() - self._started)
