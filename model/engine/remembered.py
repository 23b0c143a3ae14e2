"""How much of a waiting prompt the slots hold, asked before every step. No torch here.

Sixty-four that wait and as many slots are four thousand comparisons of hundreds of ids, while everybody who joins waits
for the lock. So each is made once: again only where a slot has come to hold something else, or grows along the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.engine.slots import BLOCK, Slot, SlotTable, shared_prefix


class Remembered:
    """How many of one prompt's first ids need not be read, for as long as it waits."""

    def __init__(self, key: int, ids: Sequence[int]) -> None:
        self._key = key
        self._ids = list(ids)
        self._begin = self._ids[:BLOCK]
        self._compared_at = -1  # the table's clock
        self._lengths: dict[int, int] = {}  # by the slot's number
        self._growing: list[
            Slot
        ] = []  # hold a beginning of this prompt and nothing else, and are being filled

    def num_tokens(self, table: SlotTable) -> int:
        """The most that any slot holds, but for a short common beginning, which is no reason to prefer any."""
        compared = self._growing
        if table.changed_at > self._compared_at:
            compared += [slot for slot in table.slots if slot.changed_at > self._compared_at]
            self._compared_at = table.changed_at
        self._growing = [slot for slot in dict.fromkeys(compared) if self._compare(slot)]
        return max(self._lengths.values(), default=0)

    def _compare(self, slot: Slot) -> bool:
        """Whether it has to be compared again though nothing but its end changes."""
        mine = slot.key == self._key
        alike = mine and slot.ids[:BLOCK] == self._begin
        self._lengths[slot.number] = shared_prefix(slot.ids, self._ids) if alike else 0
        return mine and slot.busy and slot.ids == self._ids[: len(slot.ids)]
