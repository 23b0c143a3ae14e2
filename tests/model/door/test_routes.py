"""The door around an engine that plays a script: what is let in, what goes out, and when."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from model.door.limits import Limits
from model.door.readiness import Readiness
from model.door.routes import build_app
from model.engine.errors import EngineClosed, GenerationFailed, OutOfMemory, PromptTooLong, QueueFull
from model.engine.request import Finished, Piece, Reading, SamplingSettings, Waiting
from tests.model.door.scripted_engine import HELLO, Script, ScriptedEngine, served

HI: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def ready(engine: ScriptedEngine) -> Readiness:
    readiness = Readiness("scripted")
    readiness.ready(served(engine))
    return readiness


def post(readiness: Readiness, body: object, token: str | None = None, **options: Any) -> httpx.Response:
    """One request to the application itself, without a socket."""

    async def call() -> httpx.Response:
        app = build_app(readiness, token, options.pop("limits", None))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **options.pop("headers", {})}
            return await client.post("/v1/chat/completions", content=content, headers=headers, **options)

    return asyncio.run(call())


def ask(script: Script = HELLO, **body: Any) -> httpx.Response:
    return post(ready(ScriptedEngine(script)), {**HI, **body})


def events_of(response: httpx.Response) -> list[Any]:
    """Comments as dicts, data as dicts or "[DONE]"."""
    events: list[Any] = []
    for line in response.text.splitlines():
        if line.startswith(": "):
            events.append(json.loads(line[2:]))
        elif line.startswith("data: "):
            events.append("[DONE]" if line == "data: [DONE]" else json.loads(line[6:]))
    return events


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


def test_without_being_asked_for_the_usage_is_left_out() -> None:
    assert all("usage" not in event for event in events_of(ask(stream=True)))


def test_while_the_prompt_is_read_a_sign_of_life_comes_every_quarter_second() -> None:
    events = events_of(ask((Reading(), 1.1, *HELLO[1:]), stream=True))
    assert events.count({"phase": "reading"}) >= 4


def test_once_text_has_come_a_sign_of_life_comes_every_second() -> None:
    events = events_of(ask((Reading(), Piece("a"), 2.2, Finished("length", 1, 1)), stream=True))
    assert events.count({"phase": "answering"}) == 2


def test_a_whole_answer_is_one_object() -> None:
    answer = ask().json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
    assert answer["usage"]["total_tokens"] == 10


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PromptTooLong(900, 512), 400, "context_length_exceeded"),
        (EngineClosed(), 503, "shutting_down"),
        (QueueFull(64), 429, "queue_full"),
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


def test_out_of_memory_comes_with_the_numbers() -> None:
    error = ask((Reading(), OutOfMemory(700, 2, "no"))).json()["error"]
    assert (error["num_tokens"], error["num_pictures"]) == (700, 2)


def test_while_loading_it_says_so_with_the_fraction_and_after_failing_with_the_reason() -> None:
    readiness = Readiness("demo")
    readiness.progress(0.4)
    readiness.progress(0.3)  # never backwards
    loading = post(readiness, HI)
    assert loading.status_code == 503 and loading.json()["error"]["code"] == "loading"
    assert loading.json()["error"]["fraction"] == 0.4 and loading.headers["Retry-After"]
    assert readiness.health()["state"] == "loading" and readiness.health()["model"] == "demo"
    readiness.failed("There is no folder demo.")
    failed = post(readiness, HI)
    assert failed.status_code == 503 and failed.json()["error"]["code"] == "load_failed"
    assert "no folder demo" in failed.json()["error"]["message"]
    assert readiness.health()["reason"] == "There is no folder demo."


@pytest.mark.parametrize("given", [None, "Bearer wrong", "secret", "Bearer sécret"])
def test_without_the_token_nothing_is_asked_of_the_engine(given: str | None) -> None:
    engine = ScriptedEngine()
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}
    response = post(ready(engine), HI, token="secret", headers=headers)
    assert response.status_code == 401 and response.json()["error"]["code"] == "unauthorized"
    assert engine.asked == []
    assert (
        post(ready(engine), HI, token="secret", headers={"Authorization": "Bearer secret"}).status_code == 200
    )


def test_a_body_over_the_limit_is_refused_whether_declared_or_not() -> None:
    small = Limits(max_body_bytes=100)
    body = json.dumps({**HI, "user": "x" * 100}).encode()
    assert post(ready(ScriptedEngine()), body, limits=small).status_code == 413

    async def chunked() -> httpx.Response:
        async def pieces() -> Any:
            for start in range(0, len(body), 10):
                yield body[start : start + 10]

        transport = httpx.ASGITransport(build_app(ready(ScriptedEngine()), None, small))
        async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
            headers = {"Content-Type": "application/json"}
            return await client.post("/v1/chat/completions", content=pieces(), headers=headers)

    assert asyncio.run(chunked()).status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_foreign_web_page_could_post_unasked_is_refused(kind: str) -> None:
    assert post(ready(ScriptedEngine()), HI, headers={"Content-Type": kind}).status_code == 415


def test_the_engine_gets_the_prompt_the_settings_and_the_templates_own_stop() -> None:
    engine = ScriptedEngine()
    settings = {"temperature": 0, "top_p": 0.5, "max_completion_tokens": 9, "seed": 3, "stop": "!"}
    messages = [{"role": "system", "content": "S"}, *HI["messages"]]
    post(ready(engine), {"messages": messages, "model": "scripted", **settings})
    (request,) = engine.asked
    assert request.input_ids == tuple(map(ord, "SHi"))
    assert request.sampling == SamplingSettings(0.0, 0.5, 9, ("###", "!"), 3)


def test_every_stream_of_the_engine_is_closed_in_the_end() -> None:
    engine = ScriptedEngine()
    for stream in (False, True):
        post(ready(engine), {**HI, "stream": stream})
    assert engine.num_closed == 2 and engine.num_running == 0


def test_a_reader_who_leaves_closes_the_stream_at_once() -> None:
    """Straight through the ASGI interface: the disconnect comes while the engine is silent."""
    engine = ScriptedEngine((Reading(), 30.0))

    async def call() -> float:
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
        begun = time.monotonic()
        await app(scope, receive, send)  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        return time.monotonic() - begun

    assert asyncio.run(call()) < 5
    assert engine.num_running == 0 and engine.num_closed == 1


def test_an_unforeseen_fault_is_an_error_object_without_its_inside() -> None:
    engine = ScriptedEngine()
    engine.script = None  # type: ignore[assignment]  # iterating over it is a TypeError
    response = post(ready(engine), HI)
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal" and "NoneType" not in response.text
