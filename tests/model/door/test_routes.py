"""The door around an engine that plays a script: what is let in, what goes out, and when."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from model.door.answer import Answer
from model.door.limits import Limits
from model.door.readiness import Readiness
from model.door.routes import build_app
from model.engine.errors import EngineClosed, GenerationFailed, OutOfMemory, PromptTooLong, QueueFull
from model.engine.request import Finished, GenerationRequest, Piece, Reading, SamplingSettings, Waiting
from tests.model.door.scripted_engine import HELLO, Script, ScriptedEngine, served

HI: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def ready(engine: ScriptedEngine) -> Readiness:
    readiness = Readiness("scripted")
    readiness.ready(served(engine))
    return readiness


def post(readiness: Readiness, body: object, token: str | None = None, **options: Any) -> httpx.Response:
    """One request to the application itself, without a socket."""

    async def call() -> httpx.Response:
        loopback_only = options.pop("loopback_only", False)
        app = build_app(readiness, token, options.pop("limits", None), loopback_only=loopback_only)
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


def test_a_first_piece_is_written_once_however_long_nothing_comes_after_it() -> None:
    """An engine need not tell that it reads; its first event may be text."""
    events = events_of(ask((Piece("Once"), 2.2, Finished("length", 1, 1)), stream=True))
    pieces = [event for event in events if isinstance(event, dict) and "choices" in event]
    assert [piece["choices"][0]["delta"].get("content") for piece in pieces] == ["Once", None]
    assert events.count({"phase": "answering"}) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_an_unforeseen_fault_in_mid_answer_is_an_error_object_with_its_type(stream: bool) -> None:
    response = ask((Reading(), Piece("Ha"), ZeroDivisionError("a secret inside")), stream=stream)
    error = events_of(response)[-1]["error"] if stream else response.json()["error"]
    assert error["code"] == "internal" and "ZeroDivisionError" in error["message"]
    assert "secret" not in response.text


def test_an_engine_that_ends_without_a_reason_is_told_as_a_fault() -> None:
    error = events_of(ask((Reading(), Piece("Ha")), stream=True))[-1]["error"]
    assert error["code"] == "internal" and "without a reason" in error["message"]


def test_a_whole_answer_is_one_object() -> None:
    answer = ask().json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello", "refusal": None}
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


def test_a_full_line_says_when_to_ask_again() -> None:
    assert int(ask((QueueFull(64),)).headers["Retry-After"]) > 0


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
    small = Limits(max_body_bytes=2_000_000)
    body = json.dumps({**HI, "user": "x" * 2_000_000}).encode()
    refused = post(ready(ScriptedEngine()), body, limits=small)
    assert refused.status_code == 413
    message = refused.json()["error"]["message"]
    assert "2 MB" in message and "1,344 pixels" in message and "fewer" in message

    async def chunked() -> httpx.Response:
        async def pieces() -> Any:
            for start in range(0, len(body), 65_536):
                yield body[start : start + 65_536]

        transport = httpx.ASGITransport(build_app(ready(ScriptedEngine()), None, small))
        async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
            headers = {"Content-Type": "application/json"}
            return await client.post("/v1/chat/completions", content=pieces(), headers=headers)

    assert asyncio.run(chunked()).status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_foreign_web_page_could_post_unasked_is_refused(kind: str) -> None:
    assert post(ready(ScriptedEngine()), HI, headers={"Content-Type": kind}).status_code == 415


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://evil.example:8001", "Host": "evil.example:8001"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Host": "evil.example:8001"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "127.0.0.1:8001"}, 200),
        ({"Host": "localhost:8001"}, 200),
        ({"Host": "[::1]:8001"}, 200),
        ({"Host": "127.0.0.1:8001", "Origin": "http://localhost:3000"}, 200),
    ],
)
def test_without_a_token_a_web_page_from_elsewhere_is_refused(headers: dict[str, str], status: int) -> None:
    """Also one whose name was made to lead here (DNS rebinding), so that its requests are not foreign any more."""
    headers = {"Host": "127.0.0.1:8001", **headers}
    engine = ScriptedEngine()
    assert post(ready(engine), HI, headers=headers, loopback_only=True).status_code == status
    assert len(engine.asked) == (status == 200)
    with_token = {**headers, "Authorization": "Bearer secret"}
    assert post(ready(engine), HI, token="secret", headers=with_token, loopback_only=True).status_code == 200


def test_a_worker_for_the_network_may_be_called_by_any_name_but_not_by_a_web_page() -> None:
    assert post(ready(ScriptedEngine()), HI, headers={"Host": "gpu-box:8001"}).status_code == 200
    refused = post(ready(ScriptedEngine()), HI, headers={"Origin": "http://gpu-box:8001"})
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "forbidden"
    assert "token" in refused.json()["error"]["message"]


def test_after_the_engine_broke_the_reason_is_told_and_the_worker_hears_of_it() -> None:
    readiness = ready(ScriptedEngine())
    heard: list[str] = []
    readiness.when_broken(heard.append)
    readiness.broken("The engine failed with RuntimeError: CUDA error.")
    assert heard == ["The engine failed with RuntimeError: CUDA error."] and readiness.is_broken
    assert readiness.health()["state"] == "failed" and "CUDA error" in readiness.health()["reason"]
    refused = post(readiness, HI)
    assert refused.status_code == 503 and "CUDA error" in refused.json()["error"]["message"]


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


def test_the_engine_gets_the_prompt_the_settings_and_the_templates_own_stop() -> None:
    engine = ScriptedEngine()
    settings = {"temperature": 0, "top_p": 0.5, "max_completion_tokens": 9, "seed": 3, "stop": "!"}
    messages = [{"role": "system", "content": "S"}, *HI["messages"]]
    post(ready(engine), {"messages": messages, "model": "scripted", **settings})
    (request,) = engine.asked
    assert request.input_ids == tuple(map(ord, "SHi?"))
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
@pytest.mark.parametrize("pause", [(), (0.0,), (30.0,)])
def test_closing_an_answer_closes_the_engines_stream_wherever_it_stands(
    steps: int, pause: tuple[float, ...]
) -> None:
    """Before the reading of the next event began, in the midst of it, and when it is done and not yet fetched."""
    assert waits((Reading(), *pause, Piece("a"), 30.0), steps).num_running == 0


def test_an_unforeseen_fault_is_an_error_object_without_its_inside() -> None:
    engine = ScriptedEngine()
    engine.script = None  # type: ignore[assignment]  # iterating over it is a TypeError
    response = post(ready(engine), HI)
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal" and "NoneType" not in response.text
