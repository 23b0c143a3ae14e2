"""Ratings with reasons and notes, and corrections: a person's, on their own answers."""

from __future__ import annotations

import pytest

from conversations.errors import InvalidText, NotFound
from conversations.filters import Filters
from conversations.store import ConversationStore
from tests.conversations.small_log import SETTINGS, answered, asked


def test_ratings_are_kept_and_taken_back(store: ConversationStore) -> None:
    question = asked(store)
    answer = answered(store, question)
    for rating in ("up", "down", None):
        store.rate("ann", answer.id, rating)  # type: ignore[arg-type]
        assert store.turn("ann", answer.id).rating == rating
    with pytest.raises(ValueError, match="'sideways'"):
        store.rate("ann", answer.id, "sideways")  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="not an answer"):
        store.rate("ann", question.id, "up")


def test_a_thumb_down_keeps_its_reasons_and_its_note(store: ConversationStore) -> None:
    answer = answered(store, asked(store))
    store.feedback.rate("ann", answer.id, "down", reasons=["made_up", "wrong"], note="No such thing.")
    turn = store.turn("ann", answer.id)
    assert (turn.rating, turn.reasons, turn.note) == ("down", ("wrong", "made_up"), "No such thing.")
    store.feedback.rate("ann", answer.id, "up")
    turn = store.turn("ann", answer.id)
    assert (turn.rating, turn.reasons, turn.note) == ("up", (), "")


def test_reasons_are_known_ones_and_go_with_a_thumb_down(store: ConversationStore) -> None:
    answer = answered(store, asked(store))
    with pytest.raises(ValueError, match="no reason 'ugly'; there are wrong, made_up"):
        store.feedback.rate("ann", answer.id, "down", reasons=["ugly"])
    with pytest.raises(ValueError, match="thumb down only"):
        store.feedback.rate("ann", answer.id, "up", reasons=["wrong"])
    with pytest.raises(InvalidText, match="The note has 2001 characters; at most 2000"):
        store.feedback.rate("ann", answer.id, "down", note="x" * 2001)
    assert store.turn("ann", answer.id) == answer


def test_a_correction_stands_beside_the_answer(store: ConversationStore) -> None:
    answer = answered(store, asked(store), "A red thing.")
    turn = store.feedback.correct("ann", answer.id, "A blue thing.")
    assert (turn.text, turn.correction) == ("A red thing.", "A blue thing.")
    assert store.turn("ann", answer.id) == turn
    assert store.feedback.correct("ann", answer.id, None) == answer


def test_an_answer_is_found_by_its_correction(store: ConversationStore) -> None:
    answer = answered(store, asked(store))
    store.feedback.correct("ann", answer.id, "A blue whale.")
    assert len(store.recent("ann", "whale")) == 1
    store.feedback.correct("ann", answer.id, None)
    assert store.recent("ann", "whale") == []


@pytest.mark.parametrize(
    ("text", "says"), [("", "empty"), (" \n", "empty"), ("a\0", "NUL"), ("\ud800", "broken")]
)
def test_a_correction_that_cannot_be_kept_is_refused(store: ConversationStore, text: str, says: str) -> None:
    answer = answered(store, asked(store))
    with pytest.raises(InvalidText, match=says):
        store.feedback.correct("ann", answer.id, text)
    assert store.turn("ann", answer.id) == answer


def test_what_is_still_being_written_is_not_corrected(store: ConversationStore) -> None:
    answer = store.start_answer("ann", asked(store).id, SETTINGS)
    with pytest.raises(InvalidText, match="still being written"):
        store.feedback.correct("ann", answer.id, "Whole.")


def test_nobody_rates_or_corrects_anothers_answer(store: ConversationStore) -> None:
    question = asked(store)
    answer = answered(store, question)
    for call in (
        lambda: store.feedback.rate("bob", answer.id, "down"),
        lambda: store.feedback.correct("bob", answer.id, "Mine."),
        lambda: store.feedback.correct("ann", question.id, "A question."),
    ):
        with pytest.raises(NotFound):
            call()
    assert store.turn("ann", answer.id) == answer


def test_who_rated_and_corrected_is_kept(store: ConversationStore) -> None:
    answer = answered(store, asked(store))
    store.feedback.rate("ann", answer.id, "down", reasons=["rude"])
    store.feedback.rate("ann", answer.id, "down", reasons=["rude"])
    store.feedback.correct("ann", answer.id, "Kindly.")
    trail = store.curation.trail(turn_id=answer.id)
    assert [(action.actor, action.kind, action.value) for action in trail] == [
        ("ann", "correct", True),
        ("ann", "rate", "down"),
    ]
    assert store.curation.count(Filters(reason="rude", corrected=True)).number == 1
