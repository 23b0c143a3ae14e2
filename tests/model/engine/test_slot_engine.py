"""The engine with a real network of tiny, random weights."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from model.checkpoint import LoadedModel
from model.engine.errors import (
    EngineClosed,
    PromptTooLong,
    QueueFull,
)
from model.engine.request import Event, Finished, Piece, Reading, Waiting
from model.engine.slot_engine import SlotEngine
from model.engine.step import Stepper
from model.engine.warm_up import warm_up
from tests.model.engine.asking import (
    DRAWN,
    GREEDY,
    all_events,
    answer,
    ask,
    generated,
    picture,
    spelled,
    text_of,
)


@pytest.mark.parametrize("num_pictures", [0, 1, 2])
def test_greedy_text_is_what_generate_gives(
    engine: SlotEngine, loaded: LoadedModel, num_pictures: int
) -> None:
    request = ask(loaded, "What is it?", *[picture("red"), picture("blue")][:num_pictures])
    events = asyncio.run(all_events(engine, request))
    ids = generated(loaded, request)
    assert text_of(events) == spelled(loaded, ids)
    assert isinstance(events[0], Reading)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.num_prompt_tokens == len(request.input_ids)
    assert finished.num_completion_tokens == len(ids)


def test_pictures_change_the_answer(engine: SlotEngine, loaded: LoadedModel) -> None:
    assert answer(engine, ask(loaded, "Hi", picture("red"))) != answer(
        engine, ask(loaded, "Hi", picture("blue"))
    )


def test_the_same_seed_gives_the_same_text(engine: SlotEngine, loaded: LoadedModel) -> None:
    request = ask(loaded, "Tell me", sampling=DRAWN)
    assert answer(engine, request) == answer(engine, request)
    assert answer(engine, request) != answer(engine, ask(loaded, "Tell me", sampling=replace(DRAWN, seed=8)))


def test_the_answer_ends_before_its_stop_text(engine: SlotEngine, loaded: LoadedModel) -> None:
    whole = answer(engine, ask(loaded, "Go on", sampling=DRAWN))
    stop = whole[4:6]
    events = asyncio.run(all_events(engine, ask(loaded, "Go on", sampling=replace(DRAWN, stop=(stop,)))))
    assert text_of(events) == whole[: whole.index(stop)]
    assert isinstance(events[-1], Finished) and events[-1].reason == "stop"


def test_the_answer_ends_at_the_end_of_sequence(loaded: LoadedModel) -> None:
    request = ask(loaded, "Go on")
    third = generated(loaded, request)[2]
    before = loaded.model.generation_config.eos_token_id
    loaded.model.generation_config.eos_token_id = [third]
    try:
        engine = SlotEngine(loaded)
    finally:
        loaded.model.generation_config.eos_token_id = before
    events = asyncio.run(all_events(engine, request))
    asyncio.run(engine.close())
    finished = events[-1]
    assert (
        isinstance(finished, Finished) and finished.reason == "stop" and finished.num_completion_tokens <= 3
    )


def test_a_prompt_that_fills_the_context_is_refused_with_both_counts(loaded: LoadedModel) -> None:
    request = ask(loaded, "Too long for this")
    engine = SlotEngine(replace(loaded, context_tokens=len(request.input_ids)))
    with pytest.raises(PromptTooLong) as refused:
        asyncio.run(all_events(engine, request))
    asyncio.run(engine.close())
    assert refused.value.prompt_tokens == refused.value.context_tokens == len(request.input_ids)


def test_the_answer_is_clamped_to_what_the_context_leaves(loaded: LoadedModel) -> None:
    request = ask(loaded, "Nearly too long")
    engine = SlotEngine(replace(loaded, context_tokens=len(request.input_ids) + 3))
    events = asyncio.run(all_events(engine, request))
    asyncio.run(engine.close())
    assert events[-1] == Finished("length", len(request.input_ids), 3)


def held_steps(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No step is taken before this is set."""
    whole, goes_on = Stepper.run, threading.Event()

    def run(self: Stepper, answering: Any, chunks: Any) -> Any:
        goes_on.wait(300)
        return whole(self, answering, chunks)

    monkeypatch.setattr(Stepper, "run", run)
    return goes_on


def test_those_who_wait_are_told_their_place(
    engine: SlotEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_there = held_steps(monkeypatch)

    async def three() -> list[list[Event]]:
        requests = [ask(loaded, f"Question {number}") for number in range(3)]
        asking = [asyncio.ensure_future(all_events(engine, request)) for request in requests]
        while engine.num_running + engine.num_waiting < 3:
            await asyncio.sleep(0.001)
        all_there.set()
        return await asyncio.gather(*asking)

    first, second, third = asyncio.run(three())
    assert not [event for event in first if isinstance(event, Waiting) and event.position > 1]
    places = [
        [event.position for event in events if isinstance(event, Waiting)] for events in (second, third)
    ]
    assert places[0][0] >= 1 and places[1][0] >= 2, "the third came behind the second"
    for told, events in zip(places, (second, third), strict=True):
        assert told == sorted(told, reverse=True), "nobody is sent back"
        assert events.index(Reading()) == len(told), "and then its prompt is read"
    assert all(isinstance(events[-1], Finished) for events in (first, second, third))


@pytest.mark.usefixtures("slow_steps")
def test_closing_the_stream_ends_the_generation_within_one_token(
    engine: SlotEngine, loaded: LoadedModel
) -> None:
    async def close_early() -> tuple[int, int]:
        stream = engine.stream(ask(loaded, "A long one", sampling=replace(GREEDY, max_new_tokens=1500)))
        async for event in stream:
            if isinstance(event, Piece):
                break
        await stream.aclose()
        made = engine.num_tokens_made
        while engine.num_running:
            await asyncio.sleep(0.005)
        return made, engine.num_tokens_made

    made, at_end = asyncio.run(close_early())
    assert at_end - made <= 1 and at_end < 1000


@pytest.mark.usefixtures("slow_steps")
def test_a_full_line_refuses_at_once(loaded: LoadedModel) -> None:
    async def too_many() -> None:
        engine = SlotEngine(loaded, max_waiting=1, num_slots=1)
        long = replace(GREEDY, max_new_tokens=1500)
        first, second, third = (engine.stream(ask(loaded, "Hi", sampling=long)) for _ in range(3))
        await anext(first)
        while not engine.num_running:
            await asyncio.sleep(0.001)
        assert await anext(second) == Waiting(1)
        with pytest.raises(QueueFull):
            await anext(third)
        await engine.close()

    asyncio.run(too_many())


def test_one_who_leaves_the_line_is_never_answered(
    engine: SlotEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_left = held_steps(monkeypatch)

    async def leave() -> int:
        first = asyncio.create_task(all_events(engine, ask(loaded, "First")))
        while not engine.num_running:
            await asyncio.sleep(0.001)
        waiting = engine.stream(ask(loaded, "Second"))
        await anext(waiting)
        await waiting.aclose()
        has_left.set()
        finished = (await first)[-1]
        assert isinstance(finished, Finished)
        return finished.num_completion_tokens

    num_tokens = asyncio.run(leave())
    assert engine.num_waiting == 0 and engine.num_tokens_made == num_tokens


def test_a_warm_up_reads_a_picture_and_writes_a_token(loaded: LoadedModel) -> None:
    engine = SlotEngine(loaded)
    warm_up(loaded, engine)
    assert engine.num_tokens_made >= 1
    asyncio.run(engine.close())


def test_a_context_too_small_for_a_picture_is_no_reason_to_fail_the_warm_up(loaded: LoadedModel) -> None:
    small = replace(loaded, context_tokens=4)
    cramped = SlotEngine(small)
    warm_up(small, cramped)
    assert cramped.num_tokens_made == 0
    asyncio.run(cramped.close())


@pytest.mark.usefixtures("slow_steps")
def test_closing_the_engine_ends_what_runs_and_what_waits_with_the_reason(loaded: LoadedModel) -> None:
    async def close_all() -> list[object]:
        engine = SlotEngine(loaded)
        long = replace(GREEDY, max_new_tokens=1500)
        tasks = [asyncio.create_task(all_events(engine, ask(loaded, "Hi", sampling=long))) for _ in range(2)]
        while not engine.num_tokens_made:
            await asyncio.sleep(0.005)
        await engine.close("it is late")
        results = await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(EngineClosed):
            await all_events(engine, ask(loaded, "Hi"))
        return list(results)

    results = asyncio.run(close_all())
    assert [type(result) for result in results] == [EngineClosed, EngineClosed]
    assert "it is late" in str(results[0])
