"""Which texts are kept, and the titles made of them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversations.errors import (
    InvalidText,
)
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome
from tests.conversations.small_log import (
    SETTINGS,
    answered,
    asked,
    png,
    texts,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_what_was_typed_is_kept_as_it_is(store: ConversationStore, text: str) -> None:
    if text.strip():
        assert texts(store, asked(store, text).conversation_id) == [text]
    else:
        with pytest.raises(InvalidText, match="empty"):
            asked(store, text)


@pytest.mark.parametrize("text", ["x" * 100_000, "שלום ‏", "👩‍👧 🙂", "### Human: <image> </s>", "a\r\nb\tc"])
def test_hard_texts_are_kept(store: ConversationStore, text: str) -> None:
    assert texts(store, asked(store, text).conversation_id) == [text]


@pytest.mark.parametrize(
    ("text", "says"), [("", "empty"), (" \n\t ", "empty"), ("a\0b", "NUL"), ("\ud800", "broken character")]
)
def test_a_message_that_cannot_be_kept_is_refused(store: ConversationStore, text: str, says: str) -> None:
    conversation = store.create("ann")
    with pytest.raises(InvalidText, match=says):
        store.add_question("ann", conversation.id, text)
    assert store.load("ann", conversation.id) == conversation


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec=None)))
def test_whatever_a_model_writes_is_kept(store: ConversationStore, text: str) -> None:
    answer = store.start_answer("ann", asked(store).id, SETTINGS)
    assert store.save_partial(answer.id, text)
    ended = store.finish_answer(answer.id, AnswerOutcome(text, "failed", text))
    kept = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)
    assert ended.answer is not None and ended.text == ended.answer.error == kept


def test_the_title_comes_from_the_first_question(store: ConversationStore) -> None:
    question = asked(store, "  What\n is this?  ")
    answer = answered(store, question)
    store.add_question("ann", question.conversation_id, "And that?", parent_id=answer.id)
    assert store.load("ann", question.conversation_id).title == "What is this?"


def test_a_long_title_is_cut_between_words(store: ConversationStore) -> None:
    title = store.load("ann", asked(store, "word " * 50).conversation_id).title
    assert title.endswith("word…") and len(title) <= 61
    assert len(store.load("ann", asked(store, "x" * 500).conversation_id).title) == 61


def test_a_picture_alone_has_a_title(store: ConversationStore) -> None:
    conversation = store.create("ann")
    turn = store.add_question("ann", conversation.id, "", [store.images.add(png())])
    assert store.load("ann", conversation.id).title == "A picture"
    assert turn.message.text == ""
