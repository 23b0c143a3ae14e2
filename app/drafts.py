"""How many pictures wait to be sent, and whose they are: who may send nothing may not fill the disk either.

Counted in memory, since tickets end with the process as well; what an earlier process left is removed within a day.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from app import wording
from conversations.errors import LogError


class TooManyDrafts(LogError):
    """No more pictures are taken before some are sent; the sentence names the limit."""


@dataclass(frozen=True, slots=True)
class DraftLimits:
    """Pictures and stored bytes that may wait, of one owner and of all together."""

    pictures: int = 50
    bytes: int = 250_000_000
    all_pictures: int = 2_000
    all_bytes: int = 5_000_000_000


class Drafts:
    """Every owner's pictures that were added and not sent yet. Any number of threads may call it."""

    def __init__(self, is_draft: Callable[[str], bool], limits: DraftLimits | None = None) -> None:
        """`is_draft`: whether a picture still waits, told by the store, which removes it when it is sent or old."""
        self._is_draft = is_draft
        self._limits = limits or DraftLimits()
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[str, int]] = {}

    def check(self, owner: str) -> None:
        """Raises TooManyDrafts if this owner, or all together, have as many as may wait."""
        limits = self._limits
        with self._lock:
            self._forget_sent(owner)
            mine = self._waiting.get(owner, {})
            if len(mine) >= limits.pictures or sum(mine.values()) >= limits.bytes:
                raise TooManyDrafts(wording.too_many_drafts(limits.pictures, limits.bytes))
            if self._all_full():
                for each in list(self._waiting):
                    self._forget_sent(each)
                if self._all_full():
                    raise TooManyDrafts(wording.TOO_MANY_DRAFTS_OF_ALL)

    def add(self, owner: str, sha256: str, num_bytes: int) -> None:
        with self._lock:
            self._waiting.setdefault(owner, {})[sha256] = num_bytes

    def _all_full(self) -> bool:
        counts = [len(each) for each in self._waiting.values()]
        sizes = [sum(each.values()) for each in self._waiting.values()]
        return sum(counts) >= self._limits.all_pictures or sum(sizes) >= self._limits.all_bytes

    def _forget_sent(self, owner: str) -> None:
        left = {name: size for name, size in self._waiting.get(owner, {}).items() if self._is_draft(name)}
        if left:
            self._waiting[owner] = left
        else:
            self._waiting.pop(owner, None)
