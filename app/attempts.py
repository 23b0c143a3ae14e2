"""Wrong passwords, counted by name and by address: after a few, each costs a pause, twice as long as the one before.

Names that nobody has are counted as those that somebody has, so that the pause tells nothing; and what is counted is a
digest, of which a bounded number is kept, so that nobody fills the memory with long or many names.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

FREE_BY_NAME = 5
FREE_BY_ADDRESS = 20
"""More than by name: a household, or everybody behind one proxy, shares an address."""

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
FORGOTTEN_AFTER_SECONDS = 900.0
NUM_WATCHED = 10_000


@dataclass(slots=True)
class _Count:
    num_wrong: int = 0
    last_at: float = 0.0


class Attempts:
    """Says how long somebody must wait before the next try. Any number of threads may call it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[bytes, _Count] = OrderedDict()

    def seconds_to_wait(self, name: str, address: str) -> float:
        """0.0 for who may try now."""
        now = self._clock()
        with self._lock:
            return max(self._pause_left(key, free, now) for key, free in _keys(name, address))

    def wrong(self, name: str, address: str) -> None:
        now = self._clock()
        with self._lock:
            for key, _ in _keys(name, address):
                count = self._counts.setdefault(key, _Count())
                if now - count.last_at > FORGOTTEN_AFTER_SECONDS:
                    count.num_wrong = 0
                count.num_wrong += 1
                count.last_at = now
                self._counts.move_to_end(key)
            while len(self._counts) > NUM_WATCHED:
                self._counts.popitem(last=False)

    def right(self, name: str) -> None:
        """Forget a name's wrong ones. An address' stay: else one own login would pay for guesses at the others."""
        with self._lock:
            self._counts.pop(_digest(f"name:{name}"), None)

    def _pause_left(self, key: bytes, free: int, now: float) -> float:
        count = self._counts.get(key)
        if count is None or count.num_wrong < free or now - count.last_at > FORGOTTEN_AFTER_SECONDS:
            return 0.0
        doublings = min(count.num_wrong - free, 10)
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**doublings)
        return max(0.0, count.last_at + pause - now)


def _keys(name: str, address: str) -> Iterable[tuple[bytes, int]]:
    return (_digest(f"name:{name}"), FREE_BY_NAME), (_digest(f"address:{address}"), FREE_BY_ADDRESS)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
