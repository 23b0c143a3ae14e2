"""What fails in the engine ends one answer, or, where nothing could succeed any more, all of them, in words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import torch

from model.checkpoint import LoadedModel
from model.engine import engine_thread
from model.engine.errors import EngineBroken, GenerationFailed, OutOfMemory
from model.engine.network import Network
from model.engine.request import Event, SamplingSettings
from model.engine.slot_engine import SlotEngine
from tests.model.engine.asking import DRAWN, GREEDY, all_events, answer, ask, picture


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
        async with asyncio.timeout(180):
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
