"""The engine with a real network of tiny, random weights."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from model import checkpoint
from model.checkpoint import LoadedModel
from model.engine import engine_thread
from model.engine.errors import (
    EngineBroken,
    EngineClosed,
    GenerationFailed,
    OutOfMemory,
    PromptTooLong,
    QueueFull,
)
from model.engine.network import Network
from model.engine.request import Event, Finished, Piece, Reading, SamplingSettings, Waiting
from model.engine.slot_engine import SlotEngine
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
from tests.model.tiny import write_tiny_checkpoint


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return checkpoint.load(write_tiny_checkpoint(tmp_path_factory.mktemp("tiny")), device="cpu")


@pytest.fixture
def engine(loaded: LoadedModel) -> Iterator[SlotEngine]:
    made = SlotEngine(loaded)
    yield made
    asyncio.run(made.close())


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


def test_those_who_wait_are_told_their_place(engine: SlotEngine, loaded: LoadedModel) -> None:
    async def three() -> list[list[Event]]:
        requests = [ask(loaded, f"Question {number}") for number in range(3)]
        return await asyncio.gather(*(all_events(engine, request) for request in requests))

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


def test_one_who_leaves_the_line_is_never_answered(engine: SlotEngine, loaded: LoadedModel) -> None:
    async def leave() -> int:
        first = asyncio.create_task(all_events(engine, ask(loaded, "First")))
        await asyncio.sleep(0)
        waiting = engine.stream(ask(loaded, "Second"))
        await anext(waiting)
        await waiting.aclose()
        finished = (await first)[-1]
        assert isinstance(finished, Finished)
        return finished.num_completion_tokens

    num_tokens = asyncio.run(leave())
    assert engine.num_waiting == 0 and engine.num_tokens_made == num_tokens


def broken(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def advance(*_: object) -> None:
        raise error

    monkeypatch.setattr(Network, "advance", advance)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
        ),
    ],
)
def test_out_of_memory_fails_one_request_and_the_next_one_works(
    engine: SlotEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    request = ask(loaded, "Too much", picture())
    with monkeypatch.context() as patch:
        broken(error, patch)
        with pytest.raises(OutOfMemory) as failed:
            answer(engine, request)
    assert failed.value.num_tokens == len(request.input_ids) and failed.value.num_pictures == 1
    assert answer(engine, request)


def test_a_failure_of_the_network_is_told_and_the_next_one_works(
    engine: SlotEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        broken(IndexError("index out of range"), patch)
        with pytest.raises(GenerationFailed, match="IndexError"):
            answer(engine, ask(loaded, "Hi"))
    assert answer(engine, ask(loaded, "Hi"))


def fail_all(
    loaded: LoadedModel, engine: SlotEngine, num_requests: int
) -> tuple[list[BaseException | list[Event]], BaseException | None]:
    """What requests asked together end with, and what one asked afterwards ends with; never hangs."""

    async def ask_all() -> tuple[list[BaseException | list[Event]], BaseException | None]:
        asked = (all_events(engine, ask(loaded, f"Question {number}")) for number in range(num_requests))
        async with asyncio.timeout(20):
            ended = await asyncio.gather(*asked, return_exceptions=True)
            try:
                await all_events(engine, ask(loaded, "And now?"))
            except EngineBroken as error:
                return ended, error
        return ended, None

    return asyncio.run(ask_all())


def test_when_the_thread_breaks_everybody_is_told_and_so_is_the_worker(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a fault of the device even the giving back of memory raises."""

    def faulty() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    reasons: list[str] = []
    engine = SlotEngine(loaded, on_broken=reasons.append)
    with monkeypatch.context() as patch:
        broken(MemoryError(), patch)
        patch.setattr(engine_thread, "give_memory_back", faulty)
        ended, afterwards = fail_all(loaded, engine, 3)
    assert {type(end) for end in ended} == {EngineBroken}
    assert isinstance(afterwards, EngineBroken) and "device-side assert" in str(afterwards)
    assert len(reasons) == 1 and "device-side assert" in reasons[0]
    assert engine.num_running == engine.num_waiting == 0
    asyncio.run(engine.close())


def test_a_fault_of_the_device_breaks_the_engine_because_no_later_answer_could_succeed(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons: list[str] = []
    engine = SlotEngine(loaded, on_broken=reasons.append)
    with monkeypatch.context() as patch:
        broken(torch.AcceleratorError("CUDA error: an illegal memory access"), patch)
        ended, afterwards = fail_all(loaded, engine, 2)
    assert [type(end) for end in ended] == [EngineBroken, EngineBroken] and afterwards is not None
    assert len(reasons) == 1 and "illegal memory access" in reasons[0]
    asyncio.run(engine.close())


@pytest.mark.parametrize(
    ("value", "sampling"),
    [(float("nan"), GREEDY), (float("nan"), DRAWN), (float("inf"), DRAWN), (float("-inf"), GREEDY)],
)
def test_scores_that_are_no_numbers_are_told_with_the_remedy_instead_of_rubbish(
    engine: SlotEngine,
    loaded: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
    value: float,
    sampling: SamplingSettings,
) -> None:
    whole = Network.scores

    def scores(*args: Any) -> torch.Tensor:
        return whole(*args).fill_(value)

    with monkeypatch.context() as patch:
        patch.setattr(Network, "scores", scores)
        with pytest.raises(GenerationFailed, match="--dtype float32"):
            answer(engine, ask(loaded, "Hi", sampling=sampling))
    assert answer(engine, ask(loaded, "Hi", sampling=sampling))


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
