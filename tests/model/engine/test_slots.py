"""Places in the cache: the longest shared prefix is found, the budget is kept, and what is in use is never taken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from model.engine.slots import Placement, Slot, SlotTable, shared_prefix

IDS = st.lists(st.integers(0, 2), min_size=1, max_size=200)


@given(IDS, IDS)
def test_the_shared_prefix_is_the_longest_one(left: list[int], right: list[int]) -> None:
    length = shared_prefix(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]


@given(IDS, IDS, IDS)
def test_a_common_beginning_is_found_whatever_follows(
    begin: list[int], left: list[int], right: list[int]
) -> None:
    assert shared_prefix(begin + left, begin + right) >= len(begin)


def filled(table: SlotTable, ids: list[int], *, key: int = 0, more: int = 0) -> Slot:
    """A slot that was used for these ids and is free again."""
    placed = table.place(key, ids, len(ids) + more)
    assert placed is not None
    use(placed, ids)
    table.free(placed.slot)
    return placed.slot


def use(placed: Placement, ids: list[int]) -> None:
    placed.slot.ids = list(ids)
    placed.slot.held = max(placed.slot.held, len(ids))


def test_the_next_turn_takes_over_the_slot_of_its_conversation() -> None:
    table = SlotTable(3, 1000)
    filled(table, [9, 8, 7])
    mine = filled(table, [1, 2, 3, 4])
    placed = table.place(0, [1, 2, 3, 4, 5, 6], 20)
    assert placed == Placement(mine, mine, 4, ())


def test_at_least_one_id_is_left_to_be_read() -> None:
    table = SlotTable(2, 100)
    mine = filled(table, [1, 2, 3])
    assert table.place(0, [1, 2, 3], 10) == Placement(mine, mine, 2, ())


def test_a_short_common_beginning_is_copied_and_the_other_conversation_stays() -> None:
    table = SlotTable(2, 100)
    other = filled(table, [1, 2, *range(10, 30)])
    placed = table.place(0, [1, 2, 3, 4], 10)
    assert placed is not None and placed.slot is not other
    assert (placed.source, placed.num_reused, placed.evicted) == (other, 2, ())
    assert len(other.ids) == 22


def test_the_prefix_of_a_busy_slot_is_copied() -> None:
    table = SlotTable(2, 100)
    busy = table.place(0, [1, 2, 3], 10)
    assert busy is not None
    use(busy, [1, 2, 3])
    placed = table.place(0, [1, 2, 3, 4], 10)
    assert placed is not None and placed.slot is not busy.slot
    assert (placed.source, placed.num_reused) == (busy.slot, 3)


def test_prefixes_of_another_key_are_not_shared() -> None:
    table = SlotTable(2, 100)
    filled(table, [1, 2, 3], key=1)
    placed = table.place(0, [1, 2, 3, 4], 10)
    assert placed is not None and placed.num_reused == 0 and placed.source is None


def test_the_least_recently_used_one_makes_room() -> None:
    table = SlotTable(4, 30)
    oldest, newest = filled(table, [1] * 10), filled(table, [2] * 10)
    placed = table.place(0, [3] * 5, 15)
    assert placed is not None and placed.evicted == (oldest,)
    assert newest.held == 10 and oldest.held == 0


def test_as_many_conversations_as_slots_find_their_own_again_whatever_was_there_before() -> None:
    """All begin alike, as every prompt does; turn by turn nobody drives another out."""
    table = SlotTable(4, 1000)
    for number in range(4):
        filled(table, [1, 2, 90 + number, *[5] * 10])
    talks = [[1, 2, 10 + number, *[number] * 10] for number in range(4)]
    for talk in talks:
        filled(table, talk)
    for talk in talks:
        placed = table.place(0, [*talk, 7], 20)
        assert placed is not None and placed.num_reused == len(talk)
        use(placed, [*talk, 7])
        table.free(placed.slot)


def test_spare_slots_remember_and_are_never_in_use_beyond_the_number() -> None:
    table = SlotTable(1, 1000, num_spare=1)
    first = filled(table, [1, 2, 3, 4])
    placed = table.place(0, [9, 8], 10)
    assert placed is not None and placed.slot is not first, "the spare one is taken, nothing is forgotten"
    assert table.place(0, [1, 2, 3, 4, 5], 10) is None, "only one may be in use"


def test_without_room_for_both_the_source_itself_is_used() -> None:
    table = SlotTable(4, 30)
    source = filled(table, [1] * 20)
    placed = table.place(0, [*[1] * 8, 2, 2], 25)
    assert placed == Placement(source, source, 8, ())


def test_who_finds_no_room_waits() -> None:
    table = SlotTable(2, 30)
    first = table.place(0, [1], 20)
    assert first is not None and table.place(0, [2], 20) is None
    table.free(first.slot)
    assert table.place(0, [2], 20) is not None


class SlotsInUse(RuleBasedStateMachine):
    """Any order of placing, growing, finishing and forgetting keeps the books right."""

    @initialize(num_slots=st.integers(1, 5), budget=st.integers(20, 120))
    def begin(self, num_slots: int, budget: int) -> None:
        self.table = SlotTable(num_slots, budget)
        self.contents: dict[int, list[int]] = {}  # what each slot's memory really holds

    @rule(
        ids=st.lists(st.integers(0, 1), min_size=1, max_size=18),
        more=st.integers(0, 30),
        key=st.integers(0, 1),
    )
    def place(self, ids: list[int], more: int, key: int) -> None:
        num_tokens = len(ids) + more
        before = {
            slot.number: (slot.key, list(self.contents.get(slot.number, []))) for slot in self.table.slots
        }
        busy = [slot for slot in self.table.slots if slot.busy]
        placed = self.table.place(key, ids, num_tokens)
        if placed is None:
            in_use = sum(slot.cost for slot in busy)
            assert len(busy) == len(self.table.slots) or in_use + num_tokens > self.table.budget_tokens
            return
        assert placed.slot not in busy, "what is in use is never taken"
        assert not set(map(id, placed.evicted)) & set(map(id, busy)), "nor evicted"
        assert placed.num_reused < len(ids)
        if placed.source is not None:
            source_key, held = before[placed.source.number]
            assert source_key == key and held[: placed.num_reused] == ids[: placed.num_reused]
            assert placed.source not in placed.evicted
        for slot in placed.evicted:
            self.contents.pop(slot.number, None)
        self.contents[placed.slot.number] = list(ids)
        use(placed, ids)

    @precondition(lambda self: any(slot.busy for slot in self.table.slots))
    @rule(data=st.data())
    def grow(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from([slot for slot in self.table.slots if slot.busy]))
        if len(slot.ids) < slot.reserved:
            slot.ids.append(0)
            self.contents[slot.number].append(0)
            slot.held = max(slot.held, len(slot.ids))

    @precondition(lambda self: any(slot.busy for slot in self.table.slots))
    @rule(data=st.data(), remember=st.booleans())
    def finish(self, data: st.DataObject, remember: bool) -> None:
        slot = data.draw(st.sampled_from([slot for slot in self.table.slots if slot.busy]))
        self.table.free(slot)
        if not remember:
            self.table.forget(slot)
            self.contents.pop(slot.number, None)

    @invariant()
    def the_budget_is_kept(self) -> None:
        if hasattr(self, "table"):
            assert self.table.used_tokens <= self.table.budget_tokens

    @invariant()
    def every_slot_knows_what_it_holds(self) -> None:
        if hasattr(self, "table"):
            for slot in self.table.slots:
                assert slot.ids == self.contents.get(slot.number, [])
                assert len(slot.ids) <= slot.held


TestSlotsInUse = SlotsInUse.TestCase
