"""The real worker asked by our own client: phases, leaving, the line, and what it says of itself."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from app.worker_client import (
    ChatRequest,
    ContextTooLong,
    Finished,
    Phase,
    Piece,
    WorkerClient,
    WorkerEvent,
)
from app.worker_process import WorkerProcess
from conversations.messages import ImageRef, Message
from tests.model.asking_worker import LONG, health, started, user, wait_for


def test_health_tells_the_model_without_a_token(worker: WorkerProcess) -> None:
    told = health(worker)
    assert (told["state"], told["model"], told["template"], told["context_tokens"]) == (
        "ready",
        "tiny",
        "llava_v0",
        2048,
    )
    assert told["system"].startswith("A chat between") and told["about"]


def test_what_is_no_request_gets_an_error_object(worker: WorkerProcess) -> None:
    token = {"Authorization": f"Bearer {worker.token}", "Content-Type": "application/json"}
    broken = httpx.post(f"{worker.base_url}/v1/chat/completions", headers=token, content=b"{", timeout=180)
    assert broken.status_code == 400 and broken.json()["error"]["code"] == "invalid_request"
    assert httpx.get(f"{worker.base_url}/docs", timeout=180).json()["error"]["code"] == "not_found"


def answer_of(client: WorkerClient, question: str, **settings: Any) -> list[WorkerEvent]:
    return list(client.stream(ChatRequest((Message("user", (question,)),), **settings)))


def test_our_client_gets_phases_pieces_and_counts(client: WorkerClient) -> None:
    request = ChatRequest(
        (Message("user", (ImageRef("red"), "What is it?")),), temperature=0.0, max_new_tokens=12
    )
    events = list(client.stream(request))
    assert Phase("reading") in events
    assert "".join(event.text for event in events if isinstance(event, Piece))
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.num_prompt_tokens and finished.num_completion_tokens


def test_our_client_is_told_when_the_conversation_is_too_long(client: WorkerClient) -> None:
    with pytest.raises(ContextTooLong) as refused:
        answer_of(client, "long " * 3000)
    assert refused.value.context_tokens == 2048 and (refused.value.prompt_tokens or 0) > 2048


def test_closing_the_stream_stops_the_generation(client: WorkerClient, worker: WorkerProcess) -> None:
    events = started(client, "A long story")
    before = health(worker)["num_tokens_made"]
    events.close()  # type: ignore[attr-defined]
    wait_for(lambda: health(worker)["num_running"] == 0)
    after = health(worker)["num_tokens_made"]
    time.sleep(0.3)
    assert health(worker)["num_tokens_made"] == after
    assert after - before < LONG / 2


def test_leaving_a_whole_answer_stops_it_too(worker: WorkerProcess) -> None:
    body = {"messages": user("Hi"), "max_tokens": LONG, "temperature": 1.0, "top_p": 1.0, "seed": 3}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{worker.base_url}/v1/chat/completions",
            headers={"Authorization": f"Bearer {worker.token}"},
            json=body,
            timeout=httpx.Timeout(180.0, read=0.1),
        )
    wait_for(lambda: health(worker)["num_running"] == 0)
    assert health(worker)["num_waiting"] == 0


def test_who_waits_is_told_the_place_and_leaving_the_line_frees_it(client: WorkerClient) -> None:
    """The worker's cache holds one long answer at a time."""
    first = started(client, "First")
    second = client.stream(ChatRequest((Message("user", ("Second",)),), max_new_tokens=300))
    assert next(event for event in second if isinstance(event, Phase)) == Phase("queued", 1)
    third = client.stream(ChatRequest((Message("user", ("Third, with more to read",)),), max_new_tokens=300))
    assert next(event for event in third if isinstance(event, Phase)) == Phase("queued", 2)
    second.close()  # type: ignore[attr-defined]
    assert next(event for event in third if event == Phase("queued", 1))
    first.close()  # type: ignore[attr-defined]
    assert isinstance(list(third)[-1], Finished)
