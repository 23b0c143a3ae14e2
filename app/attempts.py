"""Wrong passwords, counted by name and network: after a few, each costs a pause, twice as long as the one before.

A pause is for who made it: counted by name alone, whoever guesses at a name would keep its owner out. So a name from
one network is counted, and a network with all its names; by name alone only far more, since many networks may guess
together, and not where somebody of that name has come in before.

Names that nobody has are counted as those that somebody has, so that the pause tells nothing; and what is counted is a
digest, of which a bounded number is kept, so that nobody fills the memory with long or many names.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_BY_PAIR = 5
"""Of a name from one network."""

FREE_BY_NETWORK = 20
"""More: a household, or everybody behind one proxy, shares an address."""

FREE_BY_NAME = 100
NAME_FORGETS_ONE_SECONDS = 60.0
"""A network that waits out every pause makes one wrong try in 300 seconds: five of them never add up to a pause for
others, and any number of them comes to no more than one guess in this time."""

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
FORGOTTEN_AFTER_SECONDS = 900.0
NUM_WATCHED = 10_000


@dataclass(slots=True)
class _Count:
    """Wrong tries, as many as were not forgotten when the last one came."""

    num_wrong: float = 0.0
    last_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Watched:
    """What is counted, how many tries cost nothing, and how soon one of them is forgotten; None: only all at once."""

    key: bytes
    free: int
    forgets_one_seconds: float | None = None


class Attempts:
    """Says how long somebody must wait before the next try. Any number of threads may call it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[bytes, _Count] = OrderedDict()
        self._came_in: OrderedDict[bytes, None] = OrderedDict()

    def seconds_to_wait(self, name: str, network: str) -> float:
        """0.0 for who may try now."""
        now = self._clock()
        with self._lock:
            watched = [_of_pair(name, network), _of_network(network)]
            if watched[0].key not in self._came_in:
                watched.append(_of_name(name))
            return max(self._pause_left(each, now) for each in watched)

    def wrong(self, name: str, network: str) -> None:
        now = self._clock()
        with self._lock:
            for each in (_of_pair(name, network), _of_network(network), _of_name(name)):
                count = self._counts.setdefault(each.key, _Count(0.0, now))
                count.num_wrong = _not_forgotten(count, each, now) + 1
                count.last_at = now
                self._counts.move_to_end(each.key)
            _keep_newest(self._counts)

    def right(self, name: str, network: str) -> None:
        """Forget the wrong ones of this name from this network. The network's stay: else one own login would pay for
        guesses at the others."""
        key = _of_pair(name, network).key
        with self._lock:
            self._counts.pop(key, None)
            self._came_in[key] = None
            self._came_in.move_to_end(key)
            _keep_newest(self._came_in)

    def _pause_left(self, watched: _Watched, now: float) -> float:
        count = self._counts.get(watched.key)
        if count is None or count.num_wrong < watched.free or now - count.last_at > FORGOTTEN_AFTER_SECONDS:
            return 0.0
        doublings = min(int(count.num_wrong) - watched.free, 10)
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**doublings)
        return max(0.0, count.last_at + pause - now)


def _not_forgotten(count: _Count, watched: _Watched, now: float) -> float:
    passed = now - count.last_at
    if passed > FORGOTTEN_AFTER_SECONDS:
        return 0.0
    forgotten = passed / watched.forgets_one_seconds if watched.forgets_one_seconds else 0.0
    return max(0.0, count.num_wrong - forgotten)


def _of_pair(name: str, network: str) -> _Watched:
    return _Watched(_digest(f"pair:{len(name)}:{name}:{network}"), FREE_BY_PAIR)


def _of_network(network: str) -> _Watched:
    return _Watched(_digest(f"network:{network}"), FREE_BY_NETWORK)


def _of_name(name: str) -> _Watched:
    return _Watched(_digest(f"name:{name}"), FREE_BY_NAME, NAME_FORGETS_ONE_SECONDS)


def _keep_newest(kept: OrderedDict[bytes, _Count] | OrderedDict[bytes, None]) -> None:
    while len(kept) > NUM_WATCHED:
        kept.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
