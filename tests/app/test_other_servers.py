"""The client against servers that are not ours: what they lack is left out, and an answer ends where it should."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from app.worker_client import (
    ChatRequest,
    Finished,
    Piece,
    ServerFeatures,
    WorkerClient,
    WorkerHealth,
    WorkerProtocolError,
    WorkerRefused,
)
from conversations.messages import Message
from tests.app.small_server import Handler, Server, piece, reply, sse

HELLO = ChatRequest((Message("user", ("Hello",)),), model="tiny", seed=3)
MODELS = {"/v1/models": reply(200, {"data": [{"id": "tiny"}]})}
CHAT = "/v1/chat/completions"
DESCRIBED = {CHAT: {"post": {"requestBody": {"content": {"application/json": {"schema": {
    "properties": {"seed": {}, "stop": {}}}}}}}}}  # fmt: skip


def text_of(client: WorkerClient, request: ChatRequest = HELLO) -> str:
    return "".join(event.text for event in client.stream(request) if isinstance(event, Piece))


def test_a_model_that_goes_on_with_the_next_turn_is_cut_and_the_connection_closed() -> None:
    endless = sse(piece("A circle.#"), piece("##Hu"), piece("man: what"), *([0.05, piece("x")] * 400))
    with Server({**MODELS, CHAT: endless}).running() as server:
        events = list(WorkerClient(server.url).stream(HELLO))
    assert "".join(event.text for event in events if isinstance(event, Piece)) == "A circle."
    assert events[-1] == Finished("stop")


def test_our_own_workers_answer_is_never_cut() -> None:
    ours = {"/health": reply(200, {"state": "ready", "model": "tiny"})}
    handler = sse(piece("a ###Human: b"), piece(None, "stop"))
    with Server({**ours, CHAT: handler}).running() as server:
        assert text_of(WorkerClient(server.url)) == "a ###Human: b"


def test_stop_texts_are_left_out_where_nobody_says_they_are_taken_and_the_answer_is_cut_here() -> None:
    handler = sse(piece("one two"), piece(" three", "stop"))
    request = ChatRequest(HELLO.messages, model="tiny", stop=("o th",))
    with Server({**MODELS, CHAT: handler}).running() as server:
        assert text_of(WorkerClient(server.url), request) == "one tw"
        assert "stop" not in server.posted[0]


def test_stop_texts_are_sent_where_the_server_says_it_takes_them() -> None:
    pages = {
        **MODELS,
        "/openapi.json": reply(200, {"paths": DESCRIBED}),
        CHAT: sse(piece("", "stop")),
    }
    with Server(pages).running() as server:
        text_of(WorkerClient(server.url), ChatRequest(HELLO.messages, model="tiny", stop=("!",), top_k=5))
        assert server.posted[0]["stop"] == ["!"] and "top_k" not in server.posted[0]


def refusing(*fields: str, then: Handler) -> Handler:
    """A server that takes no such fields, in FastAPI's words."""
    posted: list[int] = []

    def handle(door: BaseHTTPRequestHandler) -> None:
        posted.append(1)
        if len(posted) <= len(fields):
            reply(422, {"detail": f"Unexpected fields in the request: {{'{fields[len(posted) - 1]}'}}"})(door)
        else:
            then(door)

    return handle


def test_fields_that_a_server_refuses_by_name_are_left_out_from_then_on() -> None:
    handler = refusing("seed", "stream_options", then=sse(piece("Hi", "stop")))
    with Server({**MODELS, CHAT: handler}).running() as server:
        client = WorkerClient(server.url)
        assert text_of(client) == "Hi" and text_of(client) == "Hi"
        assert ["seed" in body for body in server.posted] == [True, False, False, False]
        assert ["stream_options" in body for body in server.posted] == [True, True, False, False]
        assert not client.health().features.seed, "so that the page does not offer it"


def test_a_refusal_that_names_no_field_of_ours_is_told_in_the_servers_words() -> None:
    handler = refusing("messages", then=sse(piece("Hi", "stop")))
    with (
        Server({**MODELS, CHAT: handler}).running() as server,
        pytest.raises(WorkerRefused, match="Unexpected fields"),
    ):
        text_of(WorkerClient(server.url))


def test_our_own_worker_is_not_asked_again_without_what_it_refuses() -> None:
    ours = {"/health": reply(200, {"state": "ready", "model": "tiny"})}
    handler = refusing("seed", then=sse(piece("Hi", "stop")))
    with Server({**ours, CHAT: handler}).running() as server:
        with pytest.raises(WorkerRefused):
            text_of(WorkerClient(server.url))
        assert len(server.posted) == 1


def test_a_server_that_is_well_and_lists_nothing_is_asked_without_a_name() -> None:
    """So does transformers serve with a model from a folder; on a machine without a cache its list even fails."""
    for models in (reply(200, {"data": []}), reply(500, {})):
        pages = {"/health": reply(200, {"status": "ok"}), "/v1/models": models}
        with Server({**pages, CHAT: sse(piece("Hi", "stop"))}).running() as server:
            client = WorkerClient(server.url)
            assert client.health() == WorkerHealth("ready", model="", models=())
            assert text_of(client, ChatRequest(HELLO.messages)) == "Hi" and "model" not in server.posted[0]


def test_a_server_that_tells_nothing_of_its_health_and_lists_nothing_has_no_model() -> None:
    with Server({"/v1/models": reply(200, {"data": []})}).running() as server:
        assert WorkerClient(server.url).health().state == "failed"


def test_an_error_that_is_no_json_because_of_its_quotes_is_still_told() -> None:
    handler = sse('data: {"error": "no tokenizer: pass `tokenizer="tok"`"}')
    with (
        Server({**MODELS, CHAT: handler}).running() as server,
        pytest.raises(WorkerRefused, match='tokenizer="tok"'),
    ):
        text_of(WorkerClient(server.url))


PROMPT: dict[str, Any] = {"prompt": "Hi", "token_ids": [4, 5], "tokens": ["H", "i"], "mask": [False, True],
                          "image_token_id": 7, "tokens_per_picture": 16}  # fmt: skip


def test_a_prompt_is_shown_and_what_is_none_is_told() -> None:
    with Server({"/v1/prompt": reply(200, PROMPT)}).running() as server:
        shown = WorkerClient(server.url).prompt(HELLO.messages, system_prompt="S")
        assert shown.mask == (False, True) and shown.tokens == ("H", "i")
        assert [each["role"] for each in server.posted[0]["messages"]] == ["system", "user"]
    for wrong in ({}, [], {**PROMPT, "mask": [True]}, {**PROMPT, "token_ids": "ab"}):
        with (
            Server({"/v1/prompt": reply(200, wrong)}).running() as server,
            pytest.raises(WorkerProtocolError),
        ):
            WorkerClient(server.url).prompt(HELLO.messages)


def test_adapters_are_loaded_and_unloaded_by_vllms_convention() -> None:
    pages = {
        "/v1/load_lora_adapter": reply(200, "Success"),
        "/v1/unload_lora_adapter": reply(404, {"error": {}}),
    }
    with Server(pages).running() as server:
        client = WorkerClient(server.url)
        client.load_adapter("kind", "job/adapter")
        client.load_adapter("kind", "job/adapter", replace=True)
        with pytest.raises(WorkerRefused):
            client.unload_adapter("kind")
    assert server.posted == [
        {"lora_name": "kind", "lora_path": "job/adapter"},
        {"lora_name": "kind", "lora_path": "job/adapter", "load_inplace": True},
        {"lora_name": "kind"},
    ]


def test_without_a_description_a_server_has_a_seed_and_no_more() -> None:
    with Server(MODELS).running() as server:
        assert WorkerClient(server.url).health().features == ServerFeatures(seed=True)
