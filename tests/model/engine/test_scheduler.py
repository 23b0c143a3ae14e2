"""Who is read and who is answered, step after step, without any network."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from model.engine.job import Job
from model.engine.request import GenerationRequest, SamplingSettings
from model.engine.scheduler import ChunkSizes, Scheduler, Step
from model.engine.slots import SlotTable
from model.engine.streams import AnswerStream
from model.engine.task import Task
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
    if step.chunk is not None:
        scheduler.chunk_read(step.chunk)
        due += [step.chunk.task] if step.chunk.is_last else []
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


def test_alone_a_prompt_is_read_in_large_chunks_beside_others_in_small_ones() -> None:
    scheduler = Scheduler(SlotTable(4, 1000), SIZES)
    first, second = task(list(range(25)), 100), task(list(range(100, 110)))
    scheduler.join(first)
    sizes = []
    for _ in range(3):
        step = scheduler.plan()
        assert step.chunk is not None
        sizes.append(step.chunk.stop - step.chunk.start)
        carry_out(scheduler, step)
    assert sizes == [10, 10, 5]
    scheduler.join(second)
    sizes = []
    for _ in range(4):
        step = scheduler.plan()
        assert step.answering == (first,), "who is being answered gets a token in every step"
        assert step.chunk is not None and step.chunk.task is second
        sizes.append(step.chunk.stop - step.chunk.start)
        carry_out(scheduler, step)
    assert sizes == [3, 3, 3, 1]
    assert scheduler.plan().answering == (first, second)


def test_while_others_wait_to_be_read_the_chunks_are_larger() -> None:
    scheduler = Scheduler(SlotTable(4, 1000), ChunkSizes(alone=10, beside=3, hurried=6))
    tasks = [task(list(range(start, start + 8)), 50) for start in (0, 100, 200)]
    for each in tasks:
        scheduler.join(each)
    sizes = []
    while scheduler.reading or scheduler.line:
        step = scheduler.plan()
        if step.chunk is not None:
            sizes.append(step.chunk.stop - step.chunk.start)
        carry_out(scheduler, step)
    assert sizes == [8, 6, 2, 3, 3, 2]


def test_one_prompt_is_read_at_a_time_so_that_the_next_finds_what_it_shares() -> None:
    scheduler = Scheduler(SlotTable(4, 1000), SIZES)
    same = list(range(20))
    first, second = task([*same, 50], 50), task([*same, 60], 50)
    scheduler.join(first)
    scheduler.join(second)
    read = []
    while scheduler.reading or scheduler.line:
        step = scheduler.plan()
        if step.chunk is not None:
            read.append((step.chunk.task, step.chunk.stop - step.chunk.start))
        carry_out(scheduler, step)
    assert [length for each, length in read if each is first] == [10, 10, 1]
    assert [length for each, length in read if each is second] == [1]


def test_a_slot_that_is_left_is_free_in_the_next_step() -> None:
    scheduler = Scheduler(SlotTable(1, 100), SIZES)
    first, second = task([1, 2, 3], 50), task([4, 5, 6], 50)
    scheduler.join(first)
    scheduler.join(second)
    carry_out(scheduler, scheduler.plan())
    assert scheduler.plan().placed is None and list(scheduler.line) == [second]
    scheduler.leave(first)
    step = scheduler.plan()
    assert step.placed is not None and step.chunk is not None and step.chunk.task is second


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
        assert step.answering or step.chunk or not scheduler.line, "work is left and nothing is done"
        finished += carry_out(scheduler, step)
    assert {id(each) for each in finished} == {id(each) for _, each in arriving}
    assert all(each.answer.num_tokens == each.max_tokens for each in finished)
    assert not any(slot.busy for slot in scheduler.table.slots)
