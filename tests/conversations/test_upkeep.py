"""What goes by itself: conversations that nobody ever asked anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, update

from conversations.errors import NotFound
from conversations.store import ConversationStore
from conversations.tables import ConversationRow
from tests.conversations.small_log import asked, database_url


def test_an_empty_conversation_goes_after_a_day(store: ConversationStore, tmp_path: Path) -> None:
    old, new, named = store.create("ann"), store.create("ann"), store.create("ann")
    store.rename("ann", named.id, "empty all the same")
    question = asked(store)
    engine = create_engine(database_url(tmp_path))
    with engine.begin() as connection:
        connection.execute(
            update(ConversationRow)
            .where(ConversationRow.id.in_([old.id, named.id, question.conversation_id]))
            .values(created_at=datetime.now(UTC) - timedelta(days=2))
        )
    engine.dispose()
    store.recover()
    for gone in (old, named):
        with pytest.raises(NotFound):
            store.load("ann", gone.id)
    assert store.load("ann", new.id).shown == ()
    assert store.load("ann", question.conversation_id).shown == (question,)
