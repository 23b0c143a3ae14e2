"""How an answer leaves the worker: as a stream or whole, and closed however it ends."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from model.door.answer import QUIET_SECONDS, QUIET_SECONDS_BEFORE_TEXT, Answer
from model.door.routes import build_app
from model.engine.request import Finished, GenerationRequest, Piece, Reading, SamplingSettings, Waiting
from tests.model.door.asking import HI, ask, events_of, post, ready
from tests.model.door.scripted_engine import HELLO, Script, ScriptedEngine

SILENCE = 3600.0
"""Longer than any test."""


def test_a_stream_is_phases_then_pieces_then_the_reason_then_the_usage_then_done() -> None:
    script = (Waiting(2), Waiting(1), *HELLO)
    events = events_of(ask(script, stream=True, stream_options={"include_usage": True}))
    assert events[:3] == [
        {"phase": "queued", "position": 2},
        {"phase": "queued", "position": 1},
        {"phase": "reading"},
    ]
    assert events[3]["choices"][0]["delta"] == {"role": "assistant", "content": "Hel"}
    assert events[4]["choices"][0]["delta"] == {"content": "lo"}
    assert events[5]["choices"][0]["finish_reason"] == "stop"
    assert events[6]["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert events[7:] == ["[DONE]"]


def test_with_the_usage_asked_for_every_chunk_has_one_and_only_the_last_is_not_null() -> None:
    events = events_of(ask(stream=True, stream_options={"include_usage": True}))
    usages = [event["usage"] for event in events if isinstance(event, dict) and "choices" in event]
    assert usages[-1]["total_tokens"] == 10 and usages[:-1] == [None] * (len(usages) - 1) and len(usages) > 2


def test_an_answer_without_text_still_says_whose_it_is() -> None:
    events = events_of(ask((Reading(), Finished("stop", 7, 1)), stream=True))
    assert events[1]["choices"][0]["delta"] == {"role": "assistant"}


def test_without_being_asked_for_the_usage_is_left_out() -> None:
    assert all("usage" not in event for event in events_of(ask(stream=True)))


def told_in_silence(script: Script, number: int) -> tuple[list[Any], float]:
    """So many lines of an answer whose engine falls silent for good, and how many seconds they took together."""

    async def call() -> tuple[list[Any], float]:
        begun = time.monotonic()
        events = ScriptedEngine((*script, SILENCE)).stream(
            GenerationRequest("x", (1,), (), SamplingSettings())
        )
        answer = Answer("scripted", events, await anext(events))
        stream = answer.stream(include_usage=False)
        lines = [await anext(stream) for _ in range(number)]
        seconds = time.monotonic() - begun
        await answer.close()
        return [json.loads(line.strip().removeprefix(b":").removeprefix(b"data:")) for line in lines], seconds

    return asyncio.run(call())


def test_while_the_prompt_is_read_a_sign_of_life_comes_every_fifth_of_a_second() -> None:
    told, seconds = told_in_silence((Reading(),), 5)
    assert told == [{"phase": "reading"}] * 5 and seconds >= 4 * QUIET_SECONDS_BEFORE_TEXT == 0.8


def test_once_text_has_come_a_sign_of_life_comes_every_second() -> None:
    (_, _, *told), seconds = told_in_silence((Reading(), Piece("a")), 4)
    assert told == [{"phase": "answering"}] * 2 and seconds >= 2 * QUIET_SECONDS == 2.0


def test_a_first_piece_is_written_once_however_long_nothing_comes_after_it() -> None:
    """An engine need not tell that it reads; its first event may be text."""
    (piece, *told), _ = told_in_silence((Piece("Once"),), 3)
    assert piece["choices"][0]["delta"]["content"] == "Once"
    assert told == [{"phase": "answering"}] * 2


def test_a_whole_answer_is_one_object() -> None:
    answer = ask().json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello", "refusal": None}
    assert answer["usage"]["total_tokens"] == 10


def test_every_stream_of_the_engine_is_closed_in_the_end() -> None:
    engine = ScriptedEngine()
    for stream in (False, True):
        post(ready(engine), {**HI, "stream": stream})
    assert engine.num_closed == 2 and engine.num_running == 0


def test_a_reader_who_leaves_closes_the_stream_at_once() -> None:
    """Straight through the ASGI interface: the disconnect comes while the engine is silent."""
    engine = ScriptedEngine((Reading(), SILENCE))

    async def call() -> None:
        app = build_app(ready(engine), None)
        left = asyncio.Event()
        messages = [
            {"type": "http.request", "body": json.dumps({**HI, "stream": True}).encode(), "more_body": False}
        ]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if b"reading" in message.get("body", b""):
                left.set()

        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
                 "headers": [(b"content-type", b"application/json")], "asgi": {"spec_version": "2.3"}}  # fmt: skip
        await app(scope, receive, send)  # type: ignore[arg-type]
        async with asyncio.timeout(180):
            while not engine.num_closed:
                await asyncio.sleep(0.01)

    asyncio.run(call())
    assert engine.num_running == 0 and engine.num_closed == 1


def waits(script: Script, steps: int) -> ScriptedEngine:
    """An engine whose stream was left after so many turns of the loop, and its answer closed."""
    engine = ScriptedEngine(script)

    async def call() -> None:
        events = engine.stream(GenerationRequest("scripted", (1,), (), SamplingSettings()))
        answer = Answer("scripted", events, await anext(events))
        beating = answer.stream(include_usage=False)
        await anext(beating)
        waiting = asyncio.ensure_future(anext(beating))
        for _ in range(steps):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await answer.close()
        await answer.close()
        assert engine.num_closed == 1, "closed when close() returns, not some time later"

    asyncio.run(call())
    return engine


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("pause", [(), (0.0,), (SILENCE,)])
def test_closing_an_answer_closes_the_engines_stream_wherever_it_stands(
    steps: int, pause: tuple[float, ...]
) -> None:
    """Before the reading of the next event began, in the midst of it, and when it is done and not yet fetched."""
    assert waits((Reading(), *pause, Piece("a"), SILENCE), steps).num_running == 0
