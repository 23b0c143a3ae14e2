"""Pictures in the log: in order, whole, and gone when nobody uses them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert

from conversations.errors import (
    NotFound,
    PictureMissing,
)
from conversations.messages import ImageRef
from conversations.store import ConversationStore
from conversations.tables import TurnRow
from tests.conversations.small_log import (
    OUTCOME,
    SETTINGS,
    answered,
    asked,
    database_url,
    png,
)


def test_pictures_keep_their_order_and_may_repeat(store: ConversationStore) -> None:
    red, blue = store.images.add(png("red")), store.images.add(png("blue", (7, 5)))
    conversation = store.create("ann")
    turn = store.add_question("ann", conversation.id, "Which?", [blue, red, blue])
    assert turn.images == store.load("ann", conversation.id).shown[0].images == (blue, red, blue)


def test_sizes_of_pictures_come_from_the_store_and_not_from_the_caller(store: ConversationStore) -> None:
    ref = store.images.add(png())
    turn = store.add_question("ann", store.create("ann").id, "hi", [ImageRef(ref.sha256, 9999, 1)])
    assert turn.images == (ref,)


@pytest.mark.parametrize("sha256", ["0" * 64, "../../secret", ""])
def test_a_question_with_a_picture_that_is_not_stored_is_refused_whole(
    store: ConversationStore, sha256: str
) -> None:
    conversation = store.create("ann")
    with pytest.raises(PictureMissing):
        store.add_question("ann", conversation.id, "hi", [store.images.add(png()), ImageRef(sha256)])
    assert store.load("ann", conversation.id) == conversation


def test_deleting_removes_the_pictures_that_nobody_else_uses(store: ConversationStore) -> None:
    own, shared = store.images.add(png("red")), store.images.add(png("blue"))
    first, other = store.create("ann"), store.create("bob")
    question = store.add_question("ann", first.id, "hi", [own, shared])
    answered(store, question)
    store.add_question("bob", other.id, "hi", [shared])
    store.images.thumbnail(own.sha256)
    store.delete("ann", first.id)
    with pytest.raises(NotFound):
        store.load("ann", first.id)
    with pytest.raises(PictureMissing):
        store.images.path(own.sha256)
    with pytest.raises(PictureMissing):
        store.images.thumbnail(own.sha256)
    assert store.images.path(shared.sha256).is_file()
    assert not store.image_allowed("ann", shared.sha256) and store.image_allowed("bob", shared.sha256)


def test_a_long_conversation_is_read_and_deleted_whole(store: ConversationStore, tmp_path: Path) -> None:
    turn = asked(store)
    engine = create_engine(database_url(tmp_path))
    with engine.begin() as connection:
        connection.execute(
            insert(TurnRow),
            [
                {
                    "id": turn.id + step,
                    "conversation_id": turn.conversation_id,
                    "parent_id": turn.id + step - 1,
                    "role": "user",
                    "text": "more",
                    "is_shown": True,
                    "created_at": turn.created_at,
                }
                for step in range(1, 1101)
            ],
        )
    engine.dispose()
    assert len(store.load("ann", turn.conversation_id).shown) == 1101
    store.delete("ann", turn.conversation_id)
    assert store.recent("ann") == []


def test_a_stream_whose_conversation_was_deleted_is_told_so(store: ConversationStore) -> None:
    question = asked(store)
    answer = store.start_answer("ann", question.id, SETTINGS)
    store.delete("ann", question.conversation_id)
    assert store.save_partial(answer.id, "late") is False
    with pytest.raises(NotFound, match="was deleted"):
        store.finish_answer(answer.id, OUTCOME)


def test_pictures_left_over_by_a_crash_go_at_the_next_start(store: ConversationStore, tmp_path: Path) -> None:
    ref = store.images.add(png())
    question = store.add_question("ann", store.create("ann").id, "hi", [ref])
    remove = store.images.remove
    store.images.remove = _die  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        store.delete("ann", question.conversation_id)
    store.images.remove = remove  # type: ignore[method-assign]
    assert store.images.path(ref.sha256).is_file()
    store.recover()
    with pytest.raises(PictureMissing):
        store.images.path(ref.sha256)


def test_a_picture_that_was_never_sent_goes_after_a_day(store: ConversationStore) -> None:
    old, new, sent = (store.images.add(png(colour)) for colour in ("red", "green", "blue"))
    store.add_question("ann", store.create("ann").id, "hi", [sent])
    assert set(store.images.drafts()) == {old.sha256, new.sha256}
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(store.images.folder / ".drafts" / old.sha256, (long_ago, long_ago))
    store.recover()
    assert store.images.drafts() == [new.sha256]
    assert store.images.path(new.sha256).is_file() and store.images.path(sent.sha256).is_file()
    with pytest.raises(PictureMissing):
        store.images.path(old.sha256)


def test_a_picture_in_a_draft_outlives_the_conversation_that_had_it(store: ConversationStore) -> None:
    ref = store.images.add(png())
    first = store.add_question("ann", store.create("ann").id, "hi", [ref])
    store.images.add(png())
    store.delete("ann", first.conversation_id)
    turn = store.add_question("ann", store.create("ann").id, "again", [ref])
    assert turn.images == (ref,)


def _die(_sha256: str) -> None:
    raise KeyboardInterrupt
