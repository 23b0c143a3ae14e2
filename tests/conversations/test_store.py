"""The log: what is kept, in which order, and whose it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conversations.errors import (
    UnwritableFolder,
)
from conversations.messages import Message
from conversations.store import ConversationStore
from tests.conversations.small_log import (
    answered,
    asked,
    open_store,
    png,
)


def test_a_conversation_is_there_after_the_store_is_opened_again(
    store: ConversationStore, tmp_path: Path
) -> None:
    ref = store.images.add(png())
    conversation = store.create("ann", "Be brief.")
    question = store.add_question(
        "ann", conversation.id, "What is it?", [ref], parent_id=None, request_key="k"
    )
    ended = answered(store, question)
    store.close()
    again = open_store(tmp_path)
    loaded = again.load("ann", conversation.id)
    assert (loaded.title, loaded.system_prompt) == ("What is it?", "Be brief.")
    assert loaded.shown == (question, ended)
    assert loaded.shown[0].message == Message("user", (ref, "What is it?"))
    again.close()


def test_times_are_utc(store: ConversationStore) -> None:
    turn = asked(store)
    for moment in (turn.created_at, store.load("ann", turn.conversation_id).updated_at):
        assert moment.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_pictures_that_cannot_be_stored_are_told_when_the_store_opens(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableFolder, match="file/pictures"):
        ConversationStore.open(f"sqlite:///{tmp_path}/chats.db", tmp_path / "file" / "pictures")
