"""A few places that many want: nobody takes them all. A visitor can come under as many names as they like, by dropping
their cookie, so visitors are counted by their network address too."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from conversations.errors import LogError


class NoPlace(LogError):
    """Who asks holds as many places as one may; the sentence names the limit."""


class FairShare:
    """Counts who holds a place. Any number of threads may call it; nothing is kept of who holds none."""

    def __init__(self, per_owner: int, per_address: int, words: Callable[[int, bool], str]) -> None:
        """`words(limit, of_address)` is the sentence of a refusal."""
        self._per_owner = per_owner
        self._per_address = per_address
        self._words = words
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    @contextmanager
    def place(self, owner: str, address: str | None = None) -> Iterator[None]:
        """Hold a place while inside. Raises NoPlace. `address` counts for who did not sign in."""
        limits = {owner: self._per_owner}
        if address and not owner.startswith("user:"):
            limits[f"address:{network_of(address)}"] = self._per_address
        self._take(limits)
        try:
            yield
        finally:
            self._leave(limits)

    def _take(self, limits: dict[str, int]) -> None:
        with self._lock:
            for holder, limit in limits.items():
                if self._held[holder] >= limit:
                    self._held += Counter()  # drops the zero that looking made
                    raise NoPlace(self._words(limit, holder.startswith("address:")))
            self._held.update(list(limits))

    def _leave(self, limits: dict[str, int]) -> None:
        with self._lock:
            self._held.subtract(list(limits))
            self._held += Counter()  # keeps what is above zero


def network_of(address: str) -> str:
    """What one household has: an IPv4 address, or the first 64 bits of an IPv6 one. Whatever else it is stays as it is,
    no longer than any address."""
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return address[:64]
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
