"""The log's upkeep while the page runs: a page that is up for weeks would keep every draft until its next start."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

SECONDS_BETWEEN = 3_600.0

_log = logging.getLogger(__name__)


class Recovers(Protocol):
    """The part of ConversationStore that is needed here."""

    def recover(self) -> int: ...


class Upkeep:
    """Calls the log's `recover` every hour, from a thread of its own."""

    def __init__(self, store: Recovers, seconds_between: float = SECONDS_BETWEEN) -> None:
        self._store = store
        self._seconds_between = seconds_between
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns once nothing of it runs any more, so that the log may be closed."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def _work(self) -> None:
        while not self._ended.wait(self._seconds_between):
            try:
                self._store.recover()
            except Exception:  # noqa: BLE001 - the next hour may be better
                _log.exception("the log's upkeep failed")
