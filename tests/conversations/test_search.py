"""The sidebar's list, and what a search finds."""

from __future__ import annotations

import pytest

from conversations.errors import (
    InvalidText,
)
from conversations.store import ConversationStore
from tests.conversations.small_log import (
    answered,
    asked,
)


def test_recent_is_newest_first_in_pages_and_without_empty_conversations(store: ConversationStore) -> None:
    first, second, third = (asked(store, name) for name in ("first", "second", "third"))
    store.create("ann")
    answered(store, first)
    listed = store.recent("ann")
    assert [summary.title for summary in listed] == ["first", "third", "second"]
    assert [summary.id for summary in store.recent("ann", limit=2, offset=1)] == [
        third.conversation_id,
        second.conversation_id,
    ]
    assert store.recent("ann", limit=-1) == []


def test_search_finds_all_words_in_titles_and_texts(store: ConversationStore) -> None:
    one = asked(store, "A red SQUARE please")
    answered(store, one, "It is 100% certain, under_score and back\\slash.")
    asked(store, "a blue square")

    def found(words: str) -> list[str]:
        return [summary.title for summary in store.recent("ann", words)]

    assert found("square") == ["a blue square", "A red SQUARE please"] or len(found("square")) == 2
    assert found("red square") == found("certain RED") == ["A red SQUARE please"]
    for literal in ("100%", "under_score", "back\\slash"):
        assert found(literal) == ["A red SQUARE please"]
    for nothing in ("r_d", "%%", "green", "10%0", "\0", "\ud800", "x" * 100_000, "' OR 1=1 --"):
        assert found(nothing) == []
    assert store.recent("bob", "square") == []


@pytest.mark.parametrize(
    ("typed", "words"),
    [("Ein ÄRGER", "ärger"), ("ein ärger", "ÄRGER"), ("ПРИВЕТ", "привет"), ("ΟΔΟΣ", "οδος")],
)
def test_search_ignores_case_in_every_script(store: ConversationStore, typed: str, words: str) -> None:
    question = asked(store, typed)
    assert [summary.title for summary in store.recent("ann", words)] == [typed]
    store.rename("ann", question.conversation_id, "other")
    assert [summary.title for summary in store.recent("ann", words)] == ["other"]


def test_pages_of_the_list_may_be_asked_for_with_any_number(store: ConversationStore) -> None:
    asked(store)
    assert store.recent("ann", offset=2**70) == []
    assert len(store.recent("ann", limit=2**70, offset=-(2**70))) == 1


def test_renaming_keeps_the_new_title(store: ConversationStore) -> None:
    question = asked(store)
    answer = answered(store, question)
    store.rename("ann", question.conversation_id, "  My\nsquares ")
    store.add_question("ann", question.conversation_id, "more", parent_id=answer.id)
    assert [summary.title for summary in store.recent("ann", "squares")] == ["My squares"]
    for bad in ("", "  ", "x" * 201, "a\0"):
        with pytest.raises(InvalidText):
            store.rename("ann", question.conversation_id, bad)
