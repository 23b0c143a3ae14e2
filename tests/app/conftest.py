"""A real log in a folder of its own, with a worker that says what it is told."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.turns import Turns
from conversations.messages import ImageRef
from conversations.store import ConversationStore
from tests.app.scripted_worker import READY, ScriptedWorker


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ConversationStore]:
    opened = ConversationStore.open(f"sqlite:///{tmp_path / 'chats.db'}", tmp_path / "pictures")
    yield opened
    opened.close()


@pytest.fixture
def worker() -> ScriptedWorker:
    return ScriptedWorker()


@pytest.fixture
def turns(store: ConversationStore, worker: ScriptedWorker) -> Turns:
    return Turns(store, worker, lambda: READY, seconds_between_updates=0.0)


@pytest.fixture
def picture(store: ConversationStore) -> ImageRef:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "PNG")
    return store.images.add(buffer.getvalue())
