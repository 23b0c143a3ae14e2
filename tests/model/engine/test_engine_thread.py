"""Many at once: fair, cancelled within a step, seeds that mean the same, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest

from model.checkpoint import LoadedModel
from model.engine import engine_thread
from model.engine.errors import CacheTooSmall, EngineClosed, GenerationFailed, OutOfMemory, QueueFull
from model.engine.request import Event, Finished, GenerationRequest, Piece, Reading, Waiting
from model.engine.scheduler import ChunkSizes
from model.engine.slot_engine import SlotEngine
from model.engine.slot_memory import SlotMemory
from model.engine.step import Stepper
from tests.model.engine.asking import DRAWN, GREEDY, LONG, all_events, answer, answers, ask, picture, text_of

TOKEN_BYTES = 2 * 2 * 2 * 8 * 4  # layers, keys and values, heads, numbers a head, bytes a number
SIZES = ChunkSizes(alone=64, beside=8)


@pytest.fixture
def engine(loaded: LoadedModel) -> Iterator[SlotEngine]:
    made = SlotEngine(loaded, chunk_sizes=SIZES)
    yield made
    asyncio.run(made.close())


async def until_text(engine: SlotEngine, request: GenerationRequest) -> None:
    """Reads until the first piece, then leaves."""
    stream = engine.stream(request)
    async for event in stream:
        if isinstance(event, Piece):
            break
    await stream.aclose()


def test_a_seed_gives_the_same_text_whatever_else_is_in_the_batch(
    engine: SlotEngine, loaded: LoadedModel
) -> None:
    mine = [ask(loaded, "Tell me", picture(), sampling=replace(DRAWN, seed=seed)) for seed in range(3)]
    alone = [answer(engine, request) for request in mine]
    assert len(set(alone)) == 3
    others = [ask(loaded, f"Question {n}", sampling=replace(DRAWN, seed=None)) for n in range(5)]
    for order in ([*mine, *others], [*others, *reversed(mine)]):
        given = dict(zip(map(id, order), answers(engine, order), strict=True))
        assert [given[id(request)] for request in mine] == alone


@pytest.mark.usefixtures("slow_steps")
def test_a_running_answer_gets_a_token_in_every_step_while_a_long_prompt_is_read(
    engine: SlotEngine, loaded: LoadedModel
) -> None:
    async def both() -> tuple[int, int, int]:
        running = engine.stream(ask(loaded, "Hi", sampling=LONG))
        async for event in running:
            if isinstance(event, Piece):
                break
        long = ask(loaded, "word " * 100, picture())
        before = engine.numbers()
        reading = engine.stream(long)
        while isinstance(event := await anext(reading), Waiting):
            pass  # told when its turn had not come by the end of a step
        assert isinstance(event, Reading)
        await anext(reading)  # its first text
        after = engine.numbers()
        await running.aclose()
        await reading.aclose()
        num_read = len(long.input_ids) - after.num_reused_tokens
        return after.num_steps - before.num_steps, after.num_tokens_made - before.num_tokens_made, num_read

    num_steps, num_tokens, num_read = asyncio.run(both())
    assert num_read > 500 and num_steps >= num_read // SIZES.beside - 1, "it was read in small chunks"
    assert num_tokens >= num_steps, "and in each of the steps the other got its token"


def test_cancelling_frees_the_slot_within_one_step(loaded: LoadedModel) -> None:
    async def cancel() -> tuple[int, int]:
        whole_cache = 1_100 * TOKEN_BYTES
        engine = SlotEngine(loaded, cache_bytes=whole_cache)
        greedy = replace(GREEDY, max_new_tokens=900)
        await until_text(engine, ask(loaded, "First", sampling=greedy))
        made = engine.num_tokens_made
        # Needs the whole cache too, so it can only be answered when the first one's room is free.
        events = await all_events(engine, ask(loaded, "Second", sampling=replace(greedy, stop=("e",))))
        finished = events[-1]
        assert isinstance(finished, Finished)
        more = engine.num_tokens_made - made - finished.num_completion_tokens
        await engine.close()
        return more, engine.numbers().cache_bytes

    more, cache_bytes = asyncio.run(cancel())
    assert more <= 1, "the cancelled one went on for more than a step"
    assert cache_bytes == 0


@pytest.mark.usefixtures("slow_steps")
def test_cancelling_while_the_prompt_is_read_ends_the_reading(
    engine: SlotEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Stepper.run
    num_chunks: list[int] = []  # by step

    def run(self: Stepper, answering, chunks):  # type: ignore[no-untyped-def]
        num_chunks.append(len(chunks))
        return whole(self, answering, chunks)

    monkeypatch.setattr(Stepper, "run", run)

    async def cancel() -> None:
        running = engine.stream(ask(loaded, "Hi", sampling=LONG))
        async for event in running:
            if isinstance(event, Piece):
                break
        reading = engine.stream(ask(loaded, "word " * 150, picture("blue")))
        await anext(reading)
        await reading.aclose()
        place = len(num_chunks)
        while engine.num_running > 1 or len(num_chunks) < place + 4:
            await asyncio.sleep(0.001)
        assert sum(num_chunks[place:]) <= 1, "but for the step that had begun"
        await running.aclose()

    asyncio.run(cancel())
    assert engine._stepper._reading is None and not engine._stepper._features


def test_a_request_that_can_never_fit_is_refused_with_the_numbers(loaded: LoadedModel) -> None:
    engine = SlotEngine(loaded, cache_bytes=100 * TOKEN_BYTES)
    request = ask(loaded, "Hi", sampling=replace(GREEDY, max_new_tokens=100))
    most = len(request.input_ids) + 99
    with pytest.raises(CacheTooSmall, match=rf"{most} tokens.*--cache-gb") as refused:
        answer(engine, request)
    assert (
        refused.value.needed_bytes == most * TOKEN_BYTES and refused.value.budget_bytes == 100 * TOKEN_BYTES
    )
    asyncio.run(engine.close())


def test_the_cache_never_takes_more_than_its_budget(loaded: LoadedModel) -> None:
    budget = 700 * TOKEN_BYTES
    engine = SlotEngine(loaded, cache_bytes=budget, num_slots=6, chunk_sizes=SIZES)
    most: list[int] = []

    async def watched() -> None:
        requests = [ask(loaded, f"Number {n} " * (n % 7), picture("red")) for n in range(24)]
        running = asyncio.gather(*(all_events(engine, request) for request in requests))
        while not running.done():
            most.append(engine.numbers().cache_bytes)
            await asyncio.sleep(0)
        await running

    asyncio.run(watched())
    assert 0 < max(most) <= budget
    asyncio.run(engine.close())
    assert engine.numbers().cache_bytes == 0


def test_when_memory_runs_out_one_request_ends_and_the_others_go_on(
    engine: SlotEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [ask(loaded, f"Question {n}", sampling=replace(GREEDY, max_new_tokens=60)) for n in range(3)]
    expected = [answer(engine, request) for request in others]
    large = ask(loaded, "word " * 60, picture("red"), picture("blue"))
    whole = SlotMemory.reserve

    def reserve(self: SlotMemory, num_tokens: int, *, length: int, at_most: int) -> None:
        if num_tokens > 300:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes.")
        whole(self, num_tokens, length=length, at_most=at_most)

    async def together() -> list[list[Event] | BaseException]:
        streams = (all_events(engine, request) for request in [*others, large])
        return await asyncio.gather(*streams, return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(SlotMemory, "reserve", reserve)
        *ended, failed = asyncio.run(together())
    assert isinstance(failed, OutOfMemory)
    assert failed.num_tokens == len(large.input_ids) and failed.num_pictures == 2
    assert [text_of(events) for events in ended if isinstance(events, list)] == expected
    assert answer(engine, large)


def test_when_a_step_runs_out_of_memory_the_longest_answer_ends_and_the_others_go_on(
    engine: SlotEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ask(loaded, "word " * 30, sampling=LONG)
    short = ask(loaded, "Hi", sampling=replace(GREEDY, max_new_tokens=80))
    expected = answer(engine, short)
    whole = Stepper.run

    async def together() -> list[list[Event] | BaseException]:
        streams = (all_events(engine, request) for request in (long, short))
        return await asyncio.gather(*streams, return_exceptions=True)

    def run(self: Stepper, answering, chunks):  # type: ignore[no-untyped-def]
        if len(answering) == 2:
            raise MemoryError
        return whole(self, answering, chunks)

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "run", run)
        failed, ended = asyncio.run(together())
    assert isinstance(failed, OutOfMemory)
    assert isinstance(ended, list) and text_of(ended) == expected


@pytest.mark.parametrize("error", [MemoryError(), IndexError("index out of range")])
def test_of_several_prompts_in_one_step_only_the_one_at_fault_ends(
    engine: SlotEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    long = ask(loaded, "word " * 60, picture("red"))
    others = [ask(loaded, f"Question {n}", sampling=replace(GREEDY, max_new_tokens=20)) for n in range(3)]
    expected = [answer(engine, request) for request in others]
    bad = ask(loaded, "Bad", sampling=replace(GREEDY, max_new_tokens=7))
    whole = Stepper.run
    together: list[int] = []
    all_there = threading.Event()

    def run(self: Stepper, answering, chunks):  # type: ignore[no-untyped-def]
        all_there.wait(300)  # else the first would be read before the last has come
        together.append(len(chunks))
        if any(chunk.task.max_tokens == 7 for chunk in chunks):
            raise error
        return whole(self, answering, chunks)

    async def all_of_them() -> list[list[Event] | BaseException]:
        streams = [asyncio.ensure_future(all_events(engine, request)) for request in [long, *others, bad]]
        await asyncio.sleep(0.3)
        all_there.set()
        return await asyncio.gather(*streams, return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "run", run)
        first, *ended, failed = asyncio.run(all_of_them())
    assert max(together) > 2, "else nothing was shown"
    assert isinstance(failed, OutOfMemory if isinstance(error, MemoryError) else GenerationFailed)
    assert (
        isinstance(first, list)
        and [text_of(events) for events in ended if isinstance(events, list)] == expected
    )


def test_a_thousand_requests_that_come_and_go_leave_nothing_behind(loaded: LoadedModel) -> None:
    chance = random.Random(11)
    questions = ["Hi", "What is it?", "word " * 12]
    colours = ["red", "blue", "green"]
    num_threads = threading.active_count()
    engine = SlotEngine(loaded, num_slots=5, max_waiting=20, cache_bytes=900 * TOKEN_BYTES, chunk_sizes=SIZES)

    async def one() -> str:
        pictures = [picture(chance.choice(colours))] * chance.choice([0, 0, 1])
        sampling = replace(DRAWN, seed=None, max_new_tokens=chance.randint(1, 12))
        stream = engine.stream(ask(loaded, chance.choice(questions), *pictures, sampling=sampling))
        patience = chance.choice([0, 1, 2, 4, 99])
        try:
            async for _ in stream:
                patience -= 1
                if patience <= 0:
                    return "left"
            return "finished"
        except QueueFull:
            return "refused"
        finally:
            await stream.aclose()

    async def impatient() -> str:
        """The connection is cut: the task that reads is cancelled, wherever it stands."""
        reading = asyncio.create_task(one())
        await asyncio.sleep(chance.random() * 0.02)
        reading.cancel()
        return (await asyncio.gather(reading, return_exceptions=True))[0].__class__.__name__

    async def all_of_them() -> dict[str, int]:
        counts: dict[str, int] = {}
        for _ in range(100):
            kinds = [one() if chance.random() < 0.6 else impatient() for _ in range(10)]
            for ended in await asyncio.gather(*kinds):
                counts[ended] = counts.get(ended, 0) + 1
        while engine.num_running or engine.num_waiting:
            await asyncio.sleep(0.005)
        return counts

    counts = asyncio.run(all_of_them())
    assert sum(counts.values()) == 1000 and counts["left"] > 100 and counts["finished"] > 50
    numbers = engine.numbers()
    assert numbers.cache_bytes <= numbers.cache_budget_bytes
    assert not any(slot.busy for slot in engine._scheduler.table.slots)
    tensors = [weakref.ref(layer) for memory in engine._stepper._memories for layer in memory.layers]
    assert tensors
    asyncio.run(engine.close())
    gc.collect()
    assert not [tensor for tensor in tensors if tensor() is not None], "keys and values are still allocated"
    assert engine.numbers().cache_bytes == 0 and engine.numbers().num_pictures_remembered == 0
    assert threading.active_count() <= num_threads + 1, "a thread is still running"  # asyncio's own may stay
    assert "engine" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.usefixtures("slow_steps")
def test_those_who_wait_are_told_their_places_in_the_order_in_which_they_are_served(
    loaded: LoadedModel,
) -> None:
    """Who has less to read is served first, and both are told so when it comes."""
    engine = SlotEngine(loaded, num_slots=1)
    short = replace(GREEDY, max_new_tokens=4)

    async def ask_and_wait() -> tuple[list[Event], list[Event], list[str]]:
        running = engine.stream(ask(loaded, "Hi", sampling=LONG))
        while not isinstance(await anext(running), Piece):
            pass
        order: list[str] = []
        told: dict[str, list[Event]] = {"long": [], "short": []}

        async def read(name: str, question: str) -> None:
            async for event in engine.stream(ask(loaded, question, sampling=short)):
                told[name].append(event)
                if isinstance(event, Reading):
                    order.append(name)

        async with asyncio.timeout(180):
            readers = [asyncio.create_task(read("long", "word " * 50))]
            while not told["long"]:
                await asyncio.sleep(0.001)
            readers.append(asyncio.create_task(read("short", "word")))
            while len(told["long"]) < 2:
                await asyncio.sleep(0.001)
            await running.aclose()
            await asyncio.gather(*readers)
        return told["long"], told["short"], order

    long_told, short_told, order = asyncio.run(ask_and_wait())
    asyncio.run(engine.close())
    assert order == ["short", "long"]
    assert long_told[:3] == [Waiting(1), Waiting(2), Waiting(1)] and short_told[0] == Waiting(1)


def test_a_pictures_pixels_are_let_go_once_they_have_been_read(
    engine: SlotEngine, loaded: LoadedModel
) -> None:
    async def until_text() -> None:
        request = ask(loaded, "Hi", picture("red"), picture("blue"), sampling=LONG)
        images = [weakref.ref(each.image) for each in request.pictures]
        stream = engine.stream(request)
        del request
        assert all(image() is not None for image in images)
        while not isinstance(await anext(stream), Piece):
            pass
        gc.collect()
        assert [image() for image in images] == [None, None]
        await stream.aclose()

    asyncio.run(until_text())


@pytest.mark.usefixtures("slow_steps")
def test_a_burst_finds_the_free_slots_and_the_places_behind_them(loaded: LoadedModel) -> None:
    engine = SlotEngine(loaded, num_slots=3, max_waiting=4)

    async def burst() -> list[str]:
        streams = [engine.stream(ask(loaded, f"Question {n}", sampling=LONG)) for n in range(12)]
        first = [asyncio.create_task(anext(stream)) for stream in streams]  # type: ignore[arg-type]
        begun = await asyncio.gather(*first, return_exceptions=True)
        for stream in streams:
            await stream.aclose()
        return [type(each).__name__ for each in begun]

    ended = asyncio.run(burst())
    asyncio.run(engine.close())
    assert ended == [*ended[:7], *["QueueFull"] * 5] and "QueueFull" not in ended[:7]


@pytest.mark.usefixtures("slow_steps")
def test_whoever_asks_whether_there_is_room_is_answered_at_once_and_as_who_joins(loaded: LoadedModel) -> None:
    engine = SlotEngine(loaded, num_slots=1, max_waiting=1)

    async def fill() -> None:
        streams = [engine.stream(ask(loaded, "Hi", sampling=LONG)) for _ in range(2)]
        engine.check_room()
        for stream in streams:
            await anext(stream)
        with engine._thread.lock:  # held by whoever plans; nobody waits for it here
            asking = asyncio.to_thread(engine.check_room)
            with pytest.raises(QueueFull):
                await asyncio.wait_for(asking, 180)
        for stream in streams:
            await stream.aclose()
        engine.check_room()
        await engine.close("it is late")
        with pytest.raises(EngineClosed, match="it is late"):
            engine.check_room()

    asyncio.run(fill())


@pytest.mark.usefixtures("slow_steps")
def test_a_loop_that_is_gone_ends_its_requests(engine: SlotEngine, loaded: LoadedModel) -> None:
    """Its reader can never be told anything again."""
    loop = asyncio.new_event_loop()
    stream = engine.stream(ask(loaded, "Hi", sampling=LONG))
    loop.run_until_complete(anext(stream))
    loop.close()

    async def until_free() -> None:
        async with asyncio.timeout(180):
            while engine.num_running:
                await asyncio.sleep(0.002)

    asyncio.run(until_free())
    assert engine.num_tokens_made < 1000


def test_a_closed_engine_refuses(loaded: LoadedModel) -> None:
    engine = SlotEngine(loaded)
    asyncio.run(engine.close("it is late"))
    asyncio.run(engine.close())
    with pytest.raises(EngineClosed, match="it is late"):
        answer(engine, ask(loaded, "Hi"))


def test_closing_tells_everybody_at_once_though_a_step_takes_long(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Stepper.run
    begun, goes_on = threading.Event(), threading.Event()

    def run(self: Stepper, answering, chunks):  # type: ignore[no-untyped-def]
        if answering:
            begun.set()
            goes_on.wait(600)
        return whole(self, answering, chunks)

    monkeypatch.setattr(Stepper, "run", run)
    monkeypatch.setattr(engine_thread, "CLOSE_SECONDS", 0.2)
    engine = SlotEngine(loaded, num_slots=1)

    async def close_in_a_step() -> list[object]:
        asked = (all_events(engine, ask(loaded, "Hi", sampling=LONG)) for _ in range(2))
        readers = [asyncio.create_task(each) for each in asked]
        while not begun.is_set():
            await asyncio.sleep(0.005)
        async with asyncio.timeout(180):
            await engine.close("it is late")
            told = await asyncio.gather(*readers, return_exceptions=True)
        return list(told)

    try:
        told = asyncio.run(close_in_a_step())
        assert [type(each) for each in told] == [EngineClosed, EngineClosed], "one was answered, one waited"
        assert all("it is late" in str(each) for each in told)
        assert engine._thread.is_running, "else it was told only after the step"
    finally:
        goes_on.set()
    asyncio.run(engine.close())
    assert not engine._thread.is_running
    assert engine.num_running == engine.num_waiting == engine.numbers().cache_bytes == 0
