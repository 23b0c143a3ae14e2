"""What tests of a running worker share: questions, pictures, and waiting for something to come about."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from app.worker_client import ChatRequest, Piece, WorkerClient, WorkerEvent
from app.worker_process import WorkerProcess
from conversations.messages import Message

ROOT = Path(__file__).resolve().parents[2]
LONG = 1700  # tokens: more than a minute in tests.model.unhurried_worker
SLOW = 77  # an answer of so many tokens is the one that takes long in tests.model.slow_worker


def data_url(colour: str, kind: str = "PNG", **options: Any) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def user(*parts: str | dict[str, Any]) -> list[Any]:
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return [{"role": "user", "content": content}]


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def health(worker: WorkerProcess) -> dict[str, Any]:
    return dict(httpx.get(f"{worker.base_url}/health", timeout=120).json())


def wait_for(condition: Callable[[], bool], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


def started(client: WorkerClient, question: str) -> Iterator[WorkerEvent]:
    """A long answer whose first piece has come."""
    events = client.stream(ChatRequest((Message("user", (question,)),), temperature=0.0, max_new_tokens=LONG))
    for event in events:
        if isinstance(event, Piece):
            return events
    raise AssertionError("no piece came")
