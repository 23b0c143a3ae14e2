"""The log: what is kept, in which order, for whom."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from conversations.errors import AnswerRunning
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome, AnswerSettings

SETTINGS = AnswerSettings("demo", "llava_v0", "Be brief.", 0.2, 0.7, 64, seed=7)


def png(colour: str = "red", size: tuple[int, int] = (4, 3)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ConversationStore]:
    store = ConversationStore.open(f"sqlite:///{tmp_path}/var/chats.db", tmp_path / "pictures")
    yield store
    store.close()


def test_a_conversation_is_there_after_the_store_is_opened_again(store: ConversationStore, tmp_path: Path) -> None:
    ref = store.images.add(png())
    conversation = store.create("ann", "Be brief.")
    question = store.add_question("ann", conversation.id, "What is it?", [ref], parent_id=None, request_key="k")
    answer = store.start_answer("ann", question.id, SETTINGS)
    assert answer.answer is not None and answer.answer.finish_reason == "running"
    with pytest.raises(AnswerRunning):
        store.start_answer("ann", question.id, SETTINGS)
    assert store.save_partial(answer.id, "A red")
    ended = store.finish_answer(answer.id, AnswerOutcome("A red thing.", "stop", None, 12, 4, 80.5, 200.25))
    store.close()
    again = ConversationStore.open(f"sqlite:///{tmp_path}/var/chats.db", tmp_path / "pictures")
    loaded = again.load("ann", conversation.id)
    assert loaded.title == "What is it?"
    assert loaded.shown == (question, ended)
    assert loaded.shown[0].images == (ref,)
    assert loaded.shown[0].created_at.utcoffset() is not None
    assert again.image_allowed("ann", ref.sha256) and not again.image_allowed("bob", ref.sha256)
    again.close()
