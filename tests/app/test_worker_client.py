"""The client against small servers of our own on a real socket: ours, others, broken, silent and dead ones."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from app.worker_client import (
    ChatRequest,
    ContextTooLong,
    Finished,
    Heartbeat,
    Phase,
    Piece,
    ServerFeatures,
    WorkerBusy,
    WorkerClient,
    WorkerDied,
    WorkerEvent,
    WorkerHealth,
    WorkerLoading,
    WorkerOutOfMemory,
    WorkerProtocolError,
    WorkerTimeout,
    WorkerUnauthorized,
    WorkerUnreachable,
)
from conversations.messages import ImageRef, Message
from tests.app.small_server import Handler, Server, piece, reply, sse

HELLO = ChatRequest((Message("user", ("Hello",)),), model="tiny")


def answer_of(handler: Handler, request: ChatRequest = HELLO, **options: Any) -> list[WorkerEvent]:
    with Server({"/v1/chat/completions": handler}).running() as server:
        return list(WorkerClient(server.url, **options).stream(request))


def test_an_answer_of_our_worker_comes_with_its_phases_and_its_counts() -> None:
    events = answer_of(
        sse(
            ': {"phase": "queued", "position": 2}',
            ': {"phase": "reading"}',
            piece("Red"),
            piece(" it is"),
            piece(None, "stop"),
            'data: {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 4}}',
            "data: [DONE]",
        )
    )
    assert [event for event in events if not isinstance(event, Heartbeat)] == [
        Phase("queued", 2), Phase("reading"), Piece("Red"), Piece(" it is"), Finished("stop", 11, 4)
    ]  # fmt: skip


def test_a_plain_server_without_usage_and_done_will_do() -> None:
    events = answer_of(sse(": ping", piece("Hi"), piece("", "length")))
    assert [event for event in events if not isinstance(event, Heartbeat)] == [
        Piece("Hi"),
        Finished("length", None, None),
    ]


def test_what_is_sent_is_the_protocol_with_the_parts_in_their_order() -> None:
    request = ChatRequest(
        messages=(
            Message("user", (ImageRef("ab"), "What is it?")),
            Message("assistant", ("A cat.",)),
            Message("user", ("And this?", ImageRef("cd"))),
        ),
        model="tiny",
        system_prompt="Be brief.",
        temperature=0.0,
        top_p=0.5,
        max_new_tokens=9,
        seed=4,
        stop=("!",),
        top_k=40,
    )
    ours = {"/health": reply(200, {"state": "ready", "model": "tiny", "features": ["seed", "top_k", "stop"]})}
    with Server({"/v1/chat/completions": sse(piece("", "stop")), **ours}).running() as server:
        list(
            WorkerClient(server.url, data_url=lambda sha256: f"data:image/png;base64,{sha256}").stream(
                request
            )
        )
    (body,) = server.posted
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in body["messages"][1]["content"]] == ["image_url", "text"]
    assert body["messages"][2] == {"role": "assistant", "content": "A cat."}
    assert body["messages"][3]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,cd"},
    }
    settings = {
        key: body[key]
        for key in ("model", "temperature", "top_p", "max_tokens", "seed", "stop", "top_k", "stream")
    }
    assert settings == {
        "model": "tiny", "temperature": 0.0, "top_p": 0.5, "max_tokens": 9, "seed": 4, "stop": ["!"], "top_k": 40,
        "stream": True
    }  # fmt: skip


def test_without_a_model_the_first_one_listed_is_asked() -> None:
    pages = {
        "/v1/models": reply(200, {"data": [{"id": "first"}, {"id": "second"}]}),
        "/v1/chat/completions": sse(piece("", "stop")),
    }
    with Server(pages).running() as server:
        list(WorkerClient(server.url + "/v1/").stream(ChatRequest((Message("user", ("Hi",)),))))
    assert server.posted[0]["model"] == "first"


def test_a_silent_server_still_gives_heartbeats() -> None:
    events = answer_of(sse(0.8, piece("late", "stop")))
    assert events.count(Heartbeat()) >= 2


def test_closing_the_iterator_closes_the_connection_although_nothing_comes() -> None:
    gone = threading.Event()

    def silent(door: BaseHTTPRequestHandler) -> None:
        door.send_response(200)
        door.end_headers()
        door.wfile.flush()
        if door.connection.recv(1) == b"":
            gone.set()

    with Server({"/v1/chat/completions": silent}).running() as server:
        events = WorkerClient(server.url).stream(HELLO)
        assert next(events) == Heartbeat()
        started = time.monotonic()
        events.close()  # type: ignore[attr-defined]
        assert gone.wait(2.0)
        assert time.monotonic() - started < 1.0


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (503, {"code": "loading", "fraction": 0.4, "message": "Loading."}, WorkerLoading),
        (507, {"code": "out_of_memory", "message": "Memory ran out."}, WorkerOutOfMemory),
        (401, {"code": "unauthorized", "message": "Wrong token."}, WorkerUnauthorized),
        (401, {"code": None, "message": "No."}, WorkerUnauthorized),
        (429, {"code": "queue_full", "message": "Full."}, WorkerBusy),
    ],
)
def test_an_error_object_becomes_its_own_exception(
    status: int, error: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=error["message"]):
        answer_of(reply(status, {"error": error}, Retry_After="7"))


def test_a_context_that_is_too_long_comes_with_both_counts() -> None:
    error = {
        "code": "context_length_exceeded",
        "message": "Too long.",
        "prompt_tokens": 900,
        "context_tokens": 512,
    }
    with pytest.raises(ContextTooLong) as refused:
        answer_of(reply(400, {"error": error}))
    assert (refused.value.prompt_tokens, refused.value.context_tokens) == (900, 512)


def test_an_error_in_mid_answer_comes_after_the_pieces() -> None:
    with Server(
        {
            "/v1/chat/completions": sse(
                piece("Half"), 'data: {"error": {"code": "out_of_memory", "message": "No."}}'
            )
        }
    ).running() as server:
        events = WorkerClient(server.url).stream(HELLO)
        seen: list[WorkerEvent] = []
        with pytest.raises(WorkerOutOfMemory):
            for event in events:
                seen.append(event)
    assert Piece("Half") in seen


def test_a_stream_that_ends_early_is_a_dead_worker() -> None:
    with pytest.raises(WorkerDied):
        answer_of(sse(piece("Half")))


def test_nobody_at_the_address_is_told_as_such() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(WorkerUnreachable, match=url):
            list(WorkerClient(url).stream(HELLO))
        with pytest.raises(WorkerUnreachable):
            WorkerClient(url).health()


def test_too_long_a_silence_is_a_timeout() -> None:
    with pytest.raises(WorkerTimeout, match=r"0\.4 seconds"):
        answer_of(sse(2.0, piece("late", "stop")), silence_seconds=0.4)


@pytest.mark.parametrize("line", ["data: <html>", "data: [1]"])
def test_a_server_of_another_protocol_is_told_as_such(line: str) -> None:
    with pytest.raises(WorkerProtocolError):
        answer_of(sse(line))


def test_an_address_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="localhost:8001"):
        WorkerClient("localhost:8001")


def health_of(pages: dict[str, Handler]) -> WorkerHealth:
    with Server(pages).running() as server:
        return WorkerClient(server.url).health()


def test_our_health_is_passed_on() -> None:
    told = {"state": "loading", "fraction": 0.25, "reason": None, "model": "demo", "template": "llava_v0",
            "system": "A chat", "context_tokens": 2048, "about": "Shapes.",
            "features": ["seed", "prompt", "stop"], "adapters": ["kind"]}  # fmt: skip
    features = ServerFeatures(seed=True, prompt=True, stop=True, health=True)
    assert health_of({"/health": reply(200, told)}) == WorkerHealth(
        "loading", 0.25, None, "demo", "llava_v0", "A chat", 2048, "Shapes.", ("demo", "kind"), features
    )


@pytest.mark.parametrize("health", [reply(404, {}), reply(200, {"status": "ok"}), reply(200, [])])
def test_another_server_is_ready_once_it_lists_a_model(health: Handler) -> None:
    told = health_of(
        {"/health": health, "/v1/models": reply(200, {"object": "list", "data": [{"id": "gpt"}]})}
    )
    assert told == WorkerHealth("ready", model="gpt", models=("gpt",))


def test_another_server_that_still_loads_is_not_called_ready() -> None:
    assert health_of({"/v1/models": reply(503, {"error": {"message": "Loading model"}})}).state == "loading"


def test_half_a_character_from_any_server_is_never_passed_on() -> None:
    """The line is escaped JSON, as such servers send it."""
    events = answer_of(sse(piece("a\ud83d"), piece("\ude00b\ud83d"), piece(None, "stop"), "data: [DONE]"))
    text = "".join(event.text for event in events if isinstance(event, Piece))
    assert text == "a\U0001f600b\ufffd"


def test_half_a_character_in_a_question_is_sent_as_a_mark() -> None:
    request = ChatRequest((Message("user", ("half \ud83d",)),), model="tiny")
    handler = sse(piece("x"), piece(None, "stop"), "data: [DONE]")
    with Server({"/v1/chat/completions": handler}).running() as server:
        list(WorkerClient(server.url).stream(request))
        assert server.posted[0]["messages"][0]["content"] == "half ?"


def test_half_a_character_in_a_refusal_or_in_the_health_can_be_shown() -> None:
    with pytest.raises(WorkerBusy) as refused:
        answer_of(reply(429, {"error": {"message": "full \ud83d"}}))
    assert str(refused.value) == "full \ufffd"
    health = {"state": "failed", "reason": "\ud83d", "model": "m"}
    with Server({"/health": reply(200, health)}).running() as server:
        assert WorkerClient(server.url).health().reason == "\ufffd"
