"""What the slots hold of a waiting prompt: what comparing everything anew would say, with few comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from model.engine import remembered
from model.engine.remembered import Remembered
from model.engine.scheduler import ChunkSizes, Scheduler
from model.engine.slots import BLOCK, SlotTable, shared_prefix
from tests.model.engine.test_scheduler import carry_out, read_all, task
from tests.model.engine.test_slots import filled


def test_what_is_remembered_of_a_prompt_is_told_without_a_short_common_beginning() -> None:
    table = SlotTable(2, 1000)
    filled(table, list(range(100)))
    table.changed_at = table.slots[0].changed_at = 99  # it was filled by hand
    assert Remembered(0, (*range(80), 5, 6)).num_tokens(table) == 80
    assert Remembered(0, (*range(20), 5, 6)).num_tokens(table) == 0
    assert Remembered(1, tuple(range(90))).num_tokens(table) == 0, "another adapter's"


def compared_anew(table: SlotTable, key: int, ids: Sequence[int]) -> int:
    """What is kept has to equal this."""
    wanted = list(ids)
    alike = [slot for slot in table.slots if slot.key == key and slot.ids[:BLOCK] == wanted[:BLOCK]]
    return max((shared_prefix(slot.ids, wanted) for slot in alike), default=0)


PICTURE = list(range(1000, 1640))


@pytest.fixture
def num_compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a waiting prompt was held against what a slot has, as a list of one number."""
    counted = [0]

    def counting(left: Sequence[int], right: Sequence[int]) -> int:
        counted[0] += 1
        return shared_prefix(left, right)

    monkeypatch.setattr(remembered, "shared_prefix", counting)
    return counted


def test_a_crowd_that_waits_is_compared_only_with_what_has_changed(num_compared: list[int]) -> None:
    """All ask about one picture: 32 are being answered and 64 wait."""
    scheduler = Scheduler(SlotTable(32, 10**6, num_spare=32), ChunkSizes())
    for number in range(32):
        scheduler.join(task([*PICTURE, number, 5], 500))
    read_all(scheduler)
    assert len(scheduler.answering) == 32
    num_compared[0] = 0
    for number in range(64):
        scheduler.join(task([*PICTURE, 100 + number, 7], 500))
    for _ in range(3):
        carry_out(scheduler, scheduler.plan())
    assert num_compared == [0], "no slot is free, so nothing depends on it"
    scheduler.leave(scheduler.answering[0])
    first = scheduler.plan()
    assert len(first.chunks) == 1
    carry_out(scheduler, first)
    assert num_compared[0] <= 64 * 33, "each with each slot in use, once"
    num_compared[0] = 0
    scheduler.leave(scheduler.answering[0])
    carry_out(scheduler, scheduler.plan())
    assert num_compared[0] <= 64 * 2, "each with the two slots that have changed"


def test_who_waits_for_room_in_the_cache_is_not_compared_in_every_step(num_compared: list[int]) -> None:
    """Slots are free, and none of those that wait fits beside the one that is answered."""
    scheduler = Scheduler(SlotTable(4, 1000), ChunkSizes())
    scheduler.join(task([*PICTURE, 1], 300))
    read_all(scheduler)
    for number in range(8):
        scheduler.join(task([*PICTURE, 100 + number], 300))
    carry_out(scheduler, scheduler.plan())
    num_compared[0] = 0
    for _ in range(5):
        carry_out(scheduler, scheduler.plan())
    assert len(scheduler.line) == 8 and num_compared == [0]


class Waiting(RuleBasedStateMachine):
    """Prompts wait while slots are filled, grow, and are left and given away: what is kept is always right."""

    @initialize(num_slots=st.integers(1, 4), budget=st.integers(200, 800))
    def begin(self, num_slots: int, budget: int) -> None:
        self.table = SlotTable(num_slots, budget, num_spare=1)
        self.waiting: list[tuple[int, list[int], Remembered]] = []

    @rule(
        key=st.integers(0, 1),
        ids=st.lists(st.integers(0, 1), min_size=1, max_size=3),
        times=st.integers(1, 70),
    )
    def wait(self, key: int, ids: list[int], times: int) -> None:
        self.waiting.append((key, ids * times, Remembered(key, ids * times)))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), more=st.integers(0, 30), length=st.integers(1, 210))
    def place(self, data: st.DataObject, more: int, length: int) -> None:
        key, ids, _ = data.draw(st.sampled_from(self.waiting))
        placed = self.table.place(key, ids[:length], min(len(ids), length) + more)
        if placed is not None:
            placed.slot.held = max(placed.slot.held, placed.slot.reserved)

    @precondition(lambda self: any(slot.busy for slot in self.table.slots))
    @rule(data=st.data(), number=st.integers(1, 70), stray=st.booleans())
    def grow(self, data: st.DataObject, number: int, stray: bool) -> None:
        """Along some prompt, or away from all."""
        slot = data.draw(st.sampled_from([slot for slot in self.table.slots if slot.busy]))
        _, ids, _ = data.draw(st.sampled_from(self.waiting))
        slot.ids += [7] if stray else ids[len(slot.ids) : len(slot.ids) + number]
        slot.held = max(slot.held, len(slot.ids))

    @precondition(lambda self: any(slot.busy for slot in self.table.slots))
    @rule(data=st.data(), remember=st.booleans())
    def finish(self, data: st.DataObject, remember: bool) -> None:
        slot = data.draw(st.sampled_from([slot for slot in self.table.slots if slot.busy]))
        self.table.free(slot)
        if not remember:
            self.table.forget(slot)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def some_are_asked(self, data: st.DataObject) -> None:
        """Not all at every moment, as in the engine."""
        key, ids, kept = data.draw(st.sampled_from(self.waiting))
        assert kept.num_tokens(self.table) == compared_anew(self.table, key, ids)

    @invariant()
    def the_last_one_that_came_knows(self) -> None:
        if getattr(self, "waiting", None):
            key, ids, kept = self.waiting[-1]
            assert kept.num_tokens(self.table) == compared_anew(self.table, key, ids)


TestWaiting = Waiting.TestCase
