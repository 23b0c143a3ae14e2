"""Who is read and who is answered, step after step, without any network."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from model.engine.job import Job
from model.engine.request import GenerationRequest, SamplingSettings
from model.engine.scheduler import MOST_PASSED, ChunkSizes, Scheduler, Step
from model.engine.slots import SlotTable
from model.engine.streams import AnswerStream
from model.engine.task import Task
from model.engine.virtual_ids import PictureSpan
from tests.model.engine.test_streams import Letters

SIZES = ChunkSizes(alone=10, beside=3, hurried=4)


def task(ids: list[int], max_tokens: int = 5) -> Task:
    settings = SamplingSettings(max_new_tokens=max_tokens)
    request = GenerationRequest("m", tuple(ids), (), settings)
    loop = asyncio.new_event_loop()
    loop.close()  # nobody listens here
    answer = AnswerStream(
        settings, Letters(), end_ids=set(), max_tokens=max_tokens, num_prompt_tokens=len(ids)
    )
    return Task(Job(request, loop), tuple(ids), (), max_tokens, answer, random.Random(0))


def carry_out(scheduler: Scheduler, step: Step) -> list[Task]:
    """What the engine does with a step, but for the network; gives those whose answer is whole."""
    for each in step.answering:
        scheduler.token_read(each)
    due = list(step.answering)
    for chunk in step.chunks:
        scheduler.chunk_read(chunk)
        due += [chunk.task] if chunk.is_last else []
    finished = []
    for each in due:
        each.token = 7
        if each.answer.feed(7)[-1:] and each.answer.num_tokens >= each.max_tokens:
            finished.append(each)
    for each in due:
        slot = each.slot
        if slot is not None:
            slot.held = max(slot.held, len(slot.ids))
    for each in finished:
        scheduler.leave(each)
    return finished


def lengths(step: Step) -> list[tuple[Task, int]]:
    return [(chunk.task, chunk.stop - chunk.start) for chunk in step.chunks]


def read_all(scheduler: Scheduler) -> list[list[tuple[Task, int]]]:
    """Who is read how far, step after step, until nobody is left to be read."""
    read = []
    while scheduler.reading or scheduler.line:
        step = scheduler.plan()
        if step.chunks:
            read.append(lengths(step))
        carry_out(scheduler, step)
    return read


def answering(scheduler: Scheduler, ids: list[int]) -> Task:
    """One whose prompt is read, and who goes on for long."""
    running = task(ids, 60)
    scheduler.join(running)
    read_all(scheduler)
    return running


def test_alone_a_prompt_is_read_in_large_chunks_beside_others_in_small_ones() -> None:
    scheduler = Scheduler(SlotTable(4, 1000), SIZES)
    first, second = task(list(range(25)), 100), task(list(range(100, 110)))
    scheduler.join(first)
    assert read_all(scheduler) == [[(first, 10)], [(first, 10)], [(first, 5)]]
    scheduler.join(second)
    for length in [3, 3, 3, 1]:
        step = scheduler.plan()
        assert step.answering == (first,), "who is being answered gets a token in every step"
        assert lengths(step) == [(second, length)] and not step.hurried
        carry_out(scheduler, step)
    assert scheduler.plan().answering == (first, second)


def test_while_others_wait_and_for_those_who_had_to_the_chunks_are_larger() -> None:
    scheduler = Scheduler(SlotTable(4, 1000), ChunkSizes(alone=10, beside=3, hurried=6))
    first, second, third = (task(list(range(start, start + 8)), 50) for start in (0, 100, 200))
    for each in (first, second, third):
        scheduler.join(each)
    read = read_all(scheduler)
    assert read == [[(first, 8)], [(second, 6)], [(second, 2)], [(third, 6)], [(third, 2)]]


def test_one_prompt_is_read_at_a_time_so_that_the_next_finds_what_it_shares() -> None:
    scheduler = Scheduler(SlotTable(4, 1000), SIZES)
    same = list(range(20))
    first, second = task([*same, 50], 50), task([*same, 60], 50)
    scheduler.join(first)
    scheduler.join(second)
    assert read_all(scheduler) == [[(first, 10)], [(first, 10)], [(first, 1)], [(second, 1)]]


def test_whose_rest_is_short_is_read_beside_a_long_prompt_which_goes_on_all_the_same() -> None:
    scheduler = Scheduler(SlotTable(4, 1000), ChunkSizes(alone=10, beside=3, hurried=8))
    before = answering(scheduler, list(range(70)))
    scheduler.leave(before)
    running = answering(scheduler, list(range(200, 210)))
    long, follow_up = task(list(range(300, 330))), task([*range(70), 7, 1, 2])
    scheduler.join(long)
    carry_out(scheduler, scheduler.plan())
    scheduler.join(follow_up)
    step = scheduler.plan()
    assert step.answering == (running,)
    assert lengths(step) == [(long, 5), (follow_up, 3)], "it was behind, and shares its conversation's slot"
    carry_out(scheduler, step)
    assert follow_up in scheduler.answering and scheduler.reading == [long]


def test_who_shares_with_what_is_just_being_read_waits_for_it_though_there_is_room() -> None:
    scheduler = Scheduler(SlotTable(4, 1000), SIZES)
    first, second = task([1, 2, 3, 4], 50), task([1, 2, 3, 5], 50)
    scheduler.join(first)
    scheduler.join(second)
    assert read_all(scheduler) == [[(first, 4)], [(second, 1)]]


def test_short_ones_leave_half_of_a_step_to_the_long_prompt() -> None:
    scheduler = Scheduler(SlotTable(8, 1000), SIZES)
    long = task(list(range(100, 130)))
    scheduler.join(long)
    carry_out(scheduler, scheduler.plan())
    for number in range(4):
        scheduler.join(task([number, 7], 50))
    assert [length for _, length in lengths(scheduler.plan())] == [6, 2, 2]


def test_a_short_prompt_with_a_picture_to_be_read_waits_for_a_turn_of_its_own() -> None:
    scheduler = Scheduler(SlotTable(4, 1000), SIZES)
    long, picture = task(list(range(30))), task([1, 100, 101, 2])
    picture.spans = (PictureSpan(1, 3, 0),)
    scheduler.join(long)
    carry_out(scheduler, scheduler.plan())
    scheduler.join(picture)
    assert lengths(scheduler.plan()) == [(long, 10)]


def test_the_order_that_is_told_is_the_one_in_which_they_are_served() -> None:
    scheduler = Scheduler(SlotTable(4, 1000), SIZES)
    scheduler.join(before := task(list(range(70))))
    read_all(scheduler)
    scheduler.leave(before)
    middle, long, follow_up, short = (
        task(ids, 50)
        for ids in (
            list(range(100, 120)),
            list(range(200, 240)),
            [*range(70), *range(5)],
            list(range(300, 312)),
        )
    )
    for each in (middle, long, follow_up, short):
        scheduler.join(each)
    told = scheduler.in_turn()
    assert told == [follow_up, short, middle, long], "of a follow-up only the new words count"
    served = [chunk[0] for step in read_all(scheduler) for chunk in step]
    assert list(dict.fromkeys(served)) == told


def test_who_was_passed_often_enough_is_told_to_be_next() -> None:
    scheduler = Scheduler(SlotTable(2, 10_000), SIZES)
    long, short = task(list(range(100, 150))), task([1, 2])
    scheduler.join(long)
    scheduler.join(short)
    assert scheduler.in_turn() == [short, long]
    long.num_passed = MOST_PASSED
    assert scheduler.in_turn() == [long, short]


def test_nobody_is_passed_for_ever() -> None:
    """Short ones keep coming; the long one is read after MOST_PASSED of them."""
    scheduler = Scheduler(SlotTable(2, 10_000), ChunkSizes(alone=1, beside=1, hurried=1))
    long = task(list(range(100, 150)), 1)
    first = task([1, 2], 1)
    scheduler.join(first)
    scheduler.join(long)
    num_before = 0
    while long in scheduler.line:
        scheduler.join(task([3, num_before], 1))
        step = scheduler.plan()
        num_before += sum(chunk.is_last for chunk in step.chunks)
        carry_out(scheduler, step)
        assert num_before <= MOST_PASSED + 1
    assert num_before > 2, "short ones were before it"


def test_a_slot_that_is_left_is_free_in_the_next_step() -> None:
    scheduler = Scheduler(SlotTable(1, 100), SIZES)
    first, second = task([1, 2, 3], 50), task([4, 5, 6], 50)
    scheduler.join(first)
    scheduler.join(second)
    carry_out(scheduler, scheduler.plan())
    assert scheduler.plan().chunks == () and list(scheduler.line) == [second]
    scheduler.leave(first)
    step = scheduler.plan()
    assert [chunk.task for chunk in step.chunks] == [second] and step.chunks[0].placed is not None


def test_who_leaves_twice_or_from_the_line_disturbs_nobody() -> None:
    scheduler = Scheduler(SlotTable(1, 100), SIZES)
    first, second = task([1, 2, 3], 50), task([4, 5, 6], 50)
    scheduler.join(first)
    scheduler.plan()
    scheduler.join(second)
    scheduler.leave(second)
    scheduler.leave(second)
    assert scheduler.running == [first] and not scheduler.line


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12), st.integers(0, 9)), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(60, 200),
)
def test_everybody_is_answered_and_nobody_is_kept_waiting(
    wanted: list[tuple[int, int, int]], num_slots: int, budget: int
) -> None:
    """Prompts of any length arriving at any time: each gets all its tokens, in every step one."""
    scheduler = Scheduler(SlotTable(num_slots, budget), SIZES)
    arriving = [(at, task([number % 3] * length, most)) for number, (length, most, at) in enumerate(wanted)]
    finished: list[Task] = []
    for moment in range(10_000):
        for at, each in arriving:
            if at == moment:
                scheduler.join(each)
        if moment > 9 and not scheduler.has_work:
            break
        before = list(scheduler.answering)
        step = scheduler.plan()
        assert list(step.answering) == before
        assert len({id(each.slot) for each in scheduler.running}) == len(scheduler.running) <= num_slots
        assert step.answering or step.chunks or not scheduler.line, "work is left and nothing is done"
        assert sum(length for _, length in lengths(step)) <= SIZES.alone
        assert all(chunk.is_last for chunk in step.chunks[1:]), "one prompt at a time is read in parts"
        finished += carry_out(scheduler, step)
    assert {id(each) for each in finished} == {id(each) for _, each in arriving}
    assert all(each.answer.num_tokens == each.max_tokens for each in finished)
    assert not any(slot.busy for slot in scheduler.table.slots)
