"""What goes wrong is told as the protocol's error objects, before an answer and in its midst."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model.engine.errors import (
    CacheTooSmall,
    EngineClosed,
    GenerationFailed,
    OutOfMemory,
    PromptTooLong,
    QueueFull,
    UnknownAdapter,
)
from model.engine.request import Finished, Piece, Reading
from tests.model.door.asking import HI, ask, events_of, post, ready
from tests.model.door.scripted_engine import ScriptedEngine


@pytest.mark.parametrize("stream", [False, True])
def test_an_unforeseen_fault_in_mid_answer_is_an_error_object_with_its_type(stream: bool) -> None:
    response = ask((Reading(), Piece("Ha"), ZeroDivisionError("a secret inside")), stream=stream)
    error = events_of(response)[-1]["error"] if stream else response.json()["error"]
    assert error["code"] == "internal" and "ZeroDivisionError" in error["message"]
    assert "secret" not in response.text


def test_an_engine_that_ends_without_a_reason_is_told_as_a_fault() -> None:
    error = events_of(ask((Reading(), Piece("Ha")), stream=True))[-1]["error"]
    assert error["code"] == "internal" and "without a reason" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PromptTooLong(900, 512), 400, "context_length_exceeded"),
        (EngineClosed(), 503, "shutting_down"),
        (QueueFull(64), 429, "queue_full"),
        (CacheTooSmall(5000, 2_000_000_000, 1_000_000_000), 400, "cache_too_small"),
        (UnknownAdapter("kind", ()), 404, "model_not_found"),
    ],
)
def test_a_refusal_before_the_first_event_keeps_its_status(
    stream: bool, error: Any, status: int, code: str
) -> None:
    response = ask((error,), stream=stream)
    assert response.status_code == status and response.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OutOfMemory(700, 2, "tried to allocate 2 GiB"), 507, "out_of_memory"),
        (GenerationFailed("IndexError", "out of range"), 500, "internal"),
    ],
)
def test_a_failure_in_mid_answer_is_an_error_object(error: Any, status: int, code: str) -> None:
    whole = ask((Reading(), Piece("Ha"), error))
    assert whole.status_code == status and whole.json()["error"]["code"] == code
    streamed = events_of(ask((Reading(), Piece("Ha"), error), stream=True))
    assert streamed[-2]["choices"][0]["delta"]["content"] == "Ha"
    assert streamed[-1]["error"]["code"] == code and streamed[-1]["error"]["message"] == str(error)


def test_a_full_line_says_when_to_ask_again() -> None:
    assert int(ask((QueueFull(64),)).headers["Retry-After"]) > 0


def test_what_could_never_fit_comes_with_the_numbers() -> None:
    error = ask((CacheTooSmall(5000, 2_000_000_000, 1_000_000_000),)).json()["error"]
    assert (error["num_tokens"], error["needed_bytes"], error["budget_bytes"]) == (
        5000,
        2_000_000_000,
        1_000_000_000,
    )
    assert "--cache-gb" in error["message"] and error["type"] == "invalid_request_error"


def test_out_of_memory_comes_with_the_numbers() -> None:
    error = ask((Reading(), OutOfMemory(700, 2, "no"))).json()["error"]
    assert (error["num_tokens"], error["num_pictures"]) == (700, 2)


@pytest.mark.parametrize(
    "body",
    [
        rb'{"messages": [{"role": "user", "content": "\ud83d"}]}',
        rb'{"messages": [{"role": "\ud83d", "content": "x"}]}',
        rb'{"model": "\ud83d", "messages": [{"role": "user", "content": "x"}]}',
        rb'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "\ud83d:x"}}]}]}',
        rb'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url":'
        rb' {"url": "data:image/png;base64,\ud83d"}}]}]}',
        rb'{"\ud83d": 1, "messages": [{"role": "\ud83d"}], "stop": "\ud83d"}',
    ],
)
def test_half_a_character_is_refused_in_a_sentence(body: bytes) -> None:
    response = post(ready(ScriptedEngine()), body)
    assert response.status_code in (400, 404) and response.json()["error"]["message"]


def test_half_a_character_in_an_answer_or_an_error_can_still_be_sent() -> None:
    events = events_of(ask((Reading(), Piece("a\ud83d"), Finished("stop", 1, 1)), stream=True))
    assert any("a?" in json.dumps(event) for event in events)
    assert ask((Piece("a\ud83d"), Finished("stop", 1, 1))).json()["choices"][0]["message"]["content"] == "a?"
    assert "?" in ask((GenerationFailed("E", "\ud83d"),)).json()["error"]["message"]


def test_an_unforeseen_fault_is_an_error_object_without_its_inside() -> None:
    engine = ScriptedEngine()
    engine.script = None  # type: ignore[assignment]  # iterating over it is a TypeError
    response = post(ready(engine), HI)
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal" and "NoneType" not in response.text
