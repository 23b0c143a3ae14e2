"""How many pictures wait to be sent, and whose they are: who may send nothing may not fill the disk either.

A visitor comes under as many names as they drop cookies, so what visitors add counts for their network address too, and
all visitors together leave room to those who signed in. Counted in memory, since tickets end with the process as well;
what an earlier process left is removed within a day.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from app import wording
from app.fair_share import network_of
from app.visitors import username_of
from conversations.errors import LogError

_ADDRESS = "address:"


class TooManyDrafts(LogError):
    """No more pictures are taken before some are sent; the sentence names the limit."""


@dataclass(frozen=True, slots=True)
class Room:
    """So many pictures may wait, of so many stored bytes together."""

    pictures: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DraftLimits:
    """Room for one owner, for the visitors of one network, for all visitors, and for everybody: what visitors cannot
    have of the last is kept for those who signed in."""

    owner: Room = Room(50, 250_000_000)
    network: Room = Room(200, 1_000_000_000)
    visitors: Room = Room(1_500, 3_750_000_000)
    everybody: Room = Room(2_000, 5_000_000_000)


class Drafts:
    """Every owner's pictures that were added and not sent yet. Any number of threads may call it."""

    def __init__(self, is_draft: Callable[[str], bool], limits: DraftLimits | None = None) -> None:
        """`is_draft`: whether a picture still waits, told by the store, which removes it when it is sent or old."""
        self._is_draft = is_draft
        self._limits = limits or DraftLimits()
        self._lock = threading.Lock()
        # By owner; a visitor's once more by "address:NETWORK".
        self._waiting: dict[str, dict[str, int]] = {}

    def check(self, owner: str, address: str | None = None) -> None:
        """Raises TooManyDrafts if this owner, their network, or all together have as many as may wait. `address`
        counts for who did not sign in."""
        with self._lock:
            for holder in _holders(owner, address):
                of_network = holder.startswith(_ADDRESS)
                room = self._limits.network if of_network else self._limits.owner
                self._forget_sent(holder)
                if _fills([self._waiting.get(holder, {})], room):
                    raise TooManyDrafts(wording.too_many_drafts(room.pictures, room.bytes, of_network))
            if self._is_full_for(owner):
                for each in list(self._waiting):
                    self._forget_sent(each)
                if self._is_full_for(owner):
                    raise TooManyDrafts(wording.TOO_MANY_DRAFTS_OF_ALL)

    def add(self, owner: str, sha256: str, num_bytes: int, address: str | None = None) -> None:
        with self._lock:
            for holder in _holders(owner, address):
                self._waiting.setdefault(holder, {})[sha256] = num_bytes

    def _is_full_for(self, owner: str) -> bool:
        owners = {each: held for each, held in self._waiting.items() if not each.startswith(_ADDRESS)}
        visitors = [held for each, held in owners.items() if not _signed_in(each)]
        no_visitor_more = not _signed_in(owner) and _fills(visitors, self._limits.visitors)
        return no_visitor_more or _fills(owners.values(), self._limits.everybody)

    def _forget_sent(self, holder: str) -> None:
        left = {name: size for name, size in self._waiting.get(holder, {}).items() if self._is_draft(name)}
        if left:
            self._waiting[holder] = left
        else:
            self._waiting.pop(holder, None)


def _holders(owner: str, address: str | None) -> list[str]:
    """Who a picture counts for."""
    return [owner, f"{_ADDRESS}{network_of(address)}"] if address and not _signed_in(owner) else [owner]


def _signed_in(owner: str) -> bool:
    return username_of(owner) is not None


def _fills(held: Iterable[Mapping[str, int]], room: Room) -> bool:
    sizes = [size for pictures in held for size in pictures.values()]
    return len(sizes) >= room.pictures or sum(sizes) >= room.bytes
