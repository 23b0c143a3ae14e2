"""Which place in the cache a request gets, and whose prefix it may use: bookkeeping in tokens, no torch here.

A slot holds keys and values of one sequence. A request goes to the slot that shares the longest prefix of ids, if that
one is free and mostly shared; else the shared part is copied into another. What nobody uses stays remembered
until its room is needed, the least recently used first.

A running request reserves room for its longest possible answer, so that it can always be finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

BLOCK = 64
"""So many ids are compared at once; a shorter common beginning than this is no reason to prefer a request."""
TAKE_OVER_SHARE = 0.5
"""A free slot is taken over when at least this share of what it holds is used again; else it is left to its own
conversation and the shared part (often just the system prompt) is copied."""


def shared_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many ids at the beginning are equal."""
    length = min(len(left), len(right))
    start = 0
    while start < length and left[start : start + BLOCK] == right[start : start + BLOCK]:
        start += BLOCK
    for place in range(start, min(start + BLOCK, length)):
        if left[place] != right[place]:
            return place
    return min(start + BLOCK, length) if start < length else length


@dataclass(eq=False, slots=True)
class Slot:
    """One sequence's place. `ids` are those whose keys and values are there; `held` tokens are allocated."""

    number: int
    key: int = 0  # which adapter computed it; prefixes of different keys are never compared
    ids: list[int] = field(default_factory=list)
    held: int = 0
    reserved: int = 0  # above 0: in use
    last_used: int = 0
    changed_at: int = 0  # when `ids` last became others than those before and what follows them

    @property
    def busy(self) -> bool:
        return self.reserved > 0

    @property
    def cost(self) -> int:
        """Tokens of the budget that this slot takes."""
        return max(self.held, self.reserved)


@dataclass(frozen=True, slots=True)
class Placement:
    """`slot` is reserved now; its first `num_reused` ids come from `source` (itself, another slot or nobody).

    The memory of `evicted` has to be freed first.
    """

    slot: Slot
    source: Slot | None
    num_reused: int
    evicted: tuple[Slot, ...]


class SlotTable:
    """All slots and their common budget."""

    def __init__(self, num_slots: int, budget_tokens: int, *, num_spare: int = 0) -> None:
        """`num_slots` may be in use at once; `num_spare` more only remember, as far as the budget reaches."""
        if num_slots < 1 or budget_tokens < 1 or num_spare < 0:
            raise ValueError(
                f"{num_slots} slots and {num_spare} spare ones with {budget_tokens} tokens: there must be at least "
                "one slot and one token, and no fewer than no spare ones"
            )
        self.slots = tuple(Slot(number) for number in range(num_slots + num_spare))
        self.num_slots = num_slots
        self.budget_tokens = budget_tokens
        self.changed_at = 0  # the latest of all slots'
        self._clock = 0

    @property
    def used_tokens(self) -> int:
        return sum(slot.cost for slot in self.slots)

    @property
    def is_full(self) -> bool:
        """Whether as many slots are in use as may be: nobody can be placed now."""
        return sum(slot.busy for slot in self.slots) >= self.num_slots

    def place(self, key: int, ids: Sequence[int], num_tokens: int) -> Placement | None:
        """Room for a sequence that begins with `ids` and may grow to `num_tokens`; None while there is none.

        At least one id is left to be read, since its scores are what the answer begins with.
        """
        busy = [slot for slot in self.slots if slot.busy]
        in_use = sum(slot.cost for slot in busy)
        if num_tokens > self.budget_tokens - in_use or len(busy) >= self.num_slots:
            return None
        source, num_shared = self._longest_prefix(key, ids)
        slot = self._target(source, num_shared)
        evicted = list(self._make_room(slot, source, num_tokens))
        if self._excess(slot, num_tokens, evicted) > 0 and source is not None and not source.busy:
            # Source and copy do not fit both, so the source itself is used.
            evicted = list(self._make_room(source, source, num_tokens))
            if slot is not source and slot.held and slot not in evicted:
                evicted.append(slot)
            slot = source
        for each in evicted:
            self.forget(each)
        slot.key, slot.reserved, slot.last_used = key, num_tokens, self._tick()
        self._hold(slot, ids[:num_shared])
        return Placement(slot, source if num_shared else None, num_shared, tuple(evicted))

    def free(self, slot: Slot) -> None:
        """Nobody uses it any more; what it holds is remembered."""
        slot.reserved = 0
        slot.last_used = self._tick()

    def forget(self, slot: Slot) -> None:
        """It holds nothing any more."""
        slot.held = 0
        self._hold(slot, ())

    def idle(self) -> list[Slot]:
        """Slots that hold something that nobody uses, the least recently used first."""
        return sorted(
            (slot for slot in self.slots if not slot.busy and slot.held), key=lambda slot: slot.last_used
        )

    def _hold(self, slot: Slot, ids: Sequence[int]) -> None:
        slot.ids = list(ids)
        slot.changed_at = self.changed_at = self._tick()

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    def _longest_prefix(self, key: int, ids: Sequence[int]) -> tuple[Slot | None, int]:
        ids = list(ids[:-1])
        best, longest = None, 0
        for slot in self.slots:
            if slot.key != key or not slot.ids:
                continue
            length = shared_prefix(slot.ids, ids)
            # Of equally long ones a free one is better: it may be taken over.
            if length > longest or (
                length == longest > 0 and best is not None and best.busy and not slot.busy
            ):
                best, longest = slot, length
        return best, longest

    def _target(self, source: Slot | None, num_shared: int) -> Slot:
        """The slot to write into: the source, if it may be taken over, else an empty or the longest unused one.

        That may be the source itself. Were it spared for its few shared tokens, one slot would never change its
        conversation, and as many conversations as there are slots would drive each other out, turn by turn.
        """
        if source is not None and not source.busy and num_shared >= TAKE_OVER_SHARE * len(source.ids):
            return source
        free = [slot for slot in self.slots if not slot.busy]
        return min(free, key=lambda slot: (bool(slot.held), slot.last_used))

    def _excess(self, slot: Slot, num_tokens: int, evicted: Sequence[Slot]) -> int:
        """By how many tokens the budget would be exceeded."""
        rest = sum(each.cost for each in self.slots if each is not slot and each not in evicted)
        return rest + max(slot.held, num_tokens) - self.budget_tokens

    def _make_room(self, slot: Slot, source: Slot | None, num_tokens: int) -> Iterator[Slot]:
        evicted: list[Slot] = []
        for idle in self.idle():
            if self._excess(slot, num_tokens, evicted) <= 0:
                return
            if idle is not slot and idle is not source:
                evicted.append(idle)
                yield idle
