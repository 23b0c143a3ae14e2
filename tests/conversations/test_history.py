"""A person's own order among their conversations."""

from __future__ import annotations

import pytest

from conversations.errors import InvalidText
from conversations.filters import Filters
from conversations.store import ConversationStore
from tests.conversations.small_log import answered, asked


def titles(store: ConversationStore, **narrowed: object) -> list[str]:
    return [summary.title for summary in store.history.recent("ann", **narrowed)]  # type: ignore[arg-type]


def test_pinned_conversations_stand_above_newer_ones(store: ConversationStore) -> None:
    first, _, _ = (asked(store, title) for title in ("first", "second", "third"))
    store.history.pin("ann", first.conversation_id, True)
    assert titles(store) == ["first", "third", "second"]
    assert [summary.is_pinned for summary in store.recent("ann")] == [True, False, False]
    store.history.pin("ann", first.conversation_id, False)
    assert titles(store) == ["third", "second", "first"]


def test_archived_conversations_leave_the_sidebar_and_can_be_listed(store: ConversationStore) -> None:
    first, _ = asked(store, "first"), asked(store, "second")
    store.history.archive("ann", first.conversation_id, True)
    assert titles(store) == ["second"]
    assert titles(store, archived=True) == ["first"]
    assert titles(store, archived=None) == ["second", "first"]
    assert titles(store, search="first") == []
    assert titles(store, search="first", archived=None) == ["first"]
    assert store.load("ann", first.conversation_id).is_archived
    store.history.archive("ann", first.conversation_id, False)
    assert titles(store) == ["second", "first"]


def test_tags_are_kept_once_and_in_order(store: ConversationStore) -> None:
    first, second = asked(store, "first"), asked(store, "second")
    kept = store.history.tag("ann", first.conversation_id, ["to  do", "kitchen", "to do"])
    store.history.tag("ann", second.conversation_id, ["kitchen"])
    assert kept == ("kitchen", "to do") == store.load("ann", first.conversation_id).tags
    assert store.history.tags("ann") == {"kitchen": 2, "to do": 1}
    assert titles(store, tag="to do") == ["first"]
    assert [summary.tags for summary in store.recent("ann")] == [("kitchen",), ("kitchen", "to do")]
    store.history.tag("ann", first.conversation_id, [])
    assert store.history.tags("ann") == {"kitchen": 1}


@pytest.mark.parametrize(
    ("tags", "says"),
    [([""], "1 to 60"), (["x" * 61], "1 to 60"), (["a\0"], "NUL"), ([str(n) for n in range(31)], "30 tags")],
)
def test_tags_that_cannot_be_kept_are_refused(store: ConversationStore, tags: list[str], says: str) -> None:
    question = asked(store)
    with pytest.raises(InvalidText, match=says):
        store.history.tag("ann", question.conversation_id, tags)
    assert store.load("ann", question.conversation_id).tags == ()


def test_a_private_conversation_is_its_owners_alone(store: ConversationStore) -> None:
    question = asked(store)
    answer = answered(store, question)
    store.history.set_private("ann", question.conversation_id, True)
    later = answered(store, question, "another")
    assert store.load("ann", question.conversation_id).is_private
    assert store.recent("ann")[0].is_private
    assert store.curation.page(Filters()) == []
    assert [item.id for item in store.curation.page(Filters(owner="ann"))] == [later.id, answer.id]
    private = list(store.reader.conversations(Filters()))
    assert [(each.is_private, each.turns) for each in private] == [(True, ())]
    assert list(store.reader.conversations(Filters(state="pending"))) == []
    store.history.set_private("ann", question.conversation_id, False)
    assert len(store.curation.page(Filters())) == 2
