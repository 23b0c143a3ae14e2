"""What other servers offer is read from how they describe themselves, or learnt from what they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI

from app.server_features import described_features, refused_field, told_features
from app.worker_errors import refusal
from app.worker_values import ServerFeatures


@dataclass
class Body:
    """A chat-completions body as vLLM and llama-cpp-python declare theirs."""

    messages: list[dict[str, Any]]
    seed: int | None = None
    top_k: int = 0
    stop: list[str] | None = None


@dataclass
class Plain:
    messages: list[dict[str, Any]]


def description(body: Any, *paths: str) -> dict[str, Any]:
    """The description that FastAPI itself writes."""
    app = FastAPI()

    def chat(asked) -> None:  # type: ignore[no-untyped-def]
        return None

    chat.__annotations__["asked"] = body
    app.post("/v1/chat/completions")(chat)
    for path in paths:
        app.post(path)(lambda: None)
    return app.openapi()


def test_a_body_that_declares_its_fields_tells_which_settings_are_taken() -> None:
    assert described_features(description(Body)) == ServerFeatures(seed=True, top_k=True, stop=True)
    assert described_features(description(Plain)) == ServerFeatures(seed=False)


def test_a_body_without_declared_fields_is_given_what_the_protocol_has() -> None:
    assert described_features(description(dict[str, Any])) == ServerFeatures(seed=True)


def test_adapters_can_be_loaded_where_both_addresses_are_described() -> None:
    both = ("/v1/load_lora_adapter", "/v1/unload_lora_adapter")
    assert described_features(description(Body, *both)).adapters
    assert not described_features(description(Body, both[0])).adapters


@pytest.mark.parametrize("told", [None, [], "x", {}, {"paths": []}, {"paths": {"/v1/chat/completions": {"post": 3}}},
                                  {"paths": {"/v1/chat/completions": {"post": {"requestBody": {"content": {
                                      "application/json": {"schema": {"$ref": "#/nowhere"}}}}}}}}])  # fmt: skip
def test_what_is_no_description_tells_nothing(told: object) -> None:
    assert described_features(told) == ServerFeatures()


def test_our_own_worker_is_believed_and_an_older_one_has_no_prompt_view() -> None:
    assert told_features(["seed", "prompt", "what is to come"]) == ServerFeatures(
        seed=True, prompt=True, health=True
    )
    assert told_features([]) == ServerFeatures(seed=False, health=True)
    assert told_features(None) == ServerFeatures(stop=True, health=True)


BODY = {"model": "m", "seed": 3, "stop": ["!"], "stream_options": {}}


@pytest.mark.parametrize(
    ("status", "message", "field"),
    [
        (422, "Unexpected fields in the request: {'seed'}", "seed"),
        (400, "stop is not supported for this model", "stop"),
        (422, "Extra inputs are not permitted: ['body', 'stream_options']", "stream_options"),
        (400, "Server is pinned to 'x@main'; requested 'm'.", "model"),
        (400, "seed must be at least 0", None),
        (400, "Unknown role; stopping", None),
        (422, "Unexpected fields in the request: {'top_k'}", None),
        (500, "seed is not supported", None),
    ],
)
def test_a_refused_field_is_known_by_its_name_and_only_where_it_was_sent(
    status: int, message: str, field: str | None
) -> None:
    assert refused_field(refusal(status, {"message": message}), BODY) == field
