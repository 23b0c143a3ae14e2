"""What a person does with what is theirs, through the page's events; and that nobody does it with another's."""

from __future__ import annotations

from typing import Any

import pytest

from app.chat_events import ChatEvents
from app.own_events import EVENTS
from app.picture_routes import Tickets
from app.turns import Turns
from conversations.filters import Filters
from conversations.store import ConversationStore
from conversations.turns import Turn
from tests.app.scripted_worker import READY

ANN, BOB = "user:ann", "visitor:bob"


@pytest.fixture
def events(store: ConversationStore, turns: Turns) -> ChatEvents:
    return ChatEvents(store, turns, Tickets(b"k" * 32), lambda: READY)


def ask(events: ChatEvents, **data: Any) -> str:
    """A new conversation of Ann's; its id."""
    order = {"kind": "ask", "key": "k1", "text": "What is it?", "pictures": []} | data
    *_, last = events.streamed(ANN, order)
    return last["thread"]["conversation"]


def own(events: ChatEvents, name: str, data: dict[str, Any], owner: str = ANN) -> dict[str, Any]:
    return events.answered(getattr(events.own, name), owner, data)


def answer_of(store: ConversationStore, conversation: str) -> Turn:
    return store.load(ANN, conversation).shown[-1]


def test_a_thumb_down_gets_reasons_and_a_note_and_keeps_them_when_pressed_again(
    events: ChatEvents, store: ConversationStore
) -> None:
    conversation = ask(events)
    answer = answer_of(store, conversation)
    told = own(
        events,
        "rate",
        {"turn": answer.id, "rating": "down", "reasons": ["wrong", "too_long"], "note": " No. ", "key": "k"},
    )
    assert told["thread"]["deed"] == "k"
    assert "Rated bad: wrong, too long" in told["thread"]["html"] and "No." in told["thread"]["html"]
    own(events, "rate", {"turn": answer.id, "rating": "down"})
    kept = store.turn(ANN, answer.id)
    assert (kept.rating, kept.reasons, kept.note) == ("down", ("wrong", "too_long"), "No.")
    own(events, "rate", {"turn": answer.id, "rating": "up"})  # reasons go with a thumb down only
    kept = store.turn(ANN, answer.id)
    assert (kept.rating, kept.reasons, kept.note) == ("up", (), "No.")
    own(events, "rate", {"turn": answer.id, "rating": ""})
    kept = store.turn(ANN, answer.id)
    assert (kept.rating, kept.reasons, kept.note) == (None, (), "")


@pytest.mark.parametrize(
    "data",
    [
        {"rating": "sideways"},
        {"rating": "down", "reasons": ["ugly"]},
        {"rating": "down", "reasons": "wrong"},
        {"rating": "down", "note": "x" * 2001},
        {"rating": "down", "reasons": ["wrong"] * 7},
    ],
)
def test_a_judgement_that_cannot_be_is_refused_with_its_key(
    events: ChatEvents, store: ConversationStore, data: dict[str, Any]
) -> None:
    answer = answer_of(store, ask(events))
    told = own(events, "rate", data | {"turn": answer.id, "key": "k9"})
    assert set(told) == {"notice"} and told["notice"]["key"] == "k9"
    assert store.turn(ANN, answer.id).rating is None


def test_a_correction_stands_beside_the_answer_and_is_taken_back(
    events: ChatEvents, store: ConversationStore
) -> None:
    answer = answer_of(store, ask(events))
    told = own(events, "correct", {"turn": answer.id, "text": "A **blue** square.", "key": "c"})
    html = told["thread"]["html"]
    assert "A red circle." in html and "<strong>blue</strong>" in html and told["thread"]["deed"] == "c"
    kept = store.turn(ANN, answer.id)
    assert (kept.text, kept.correction) == ("A red circle.", "A **blue** square.")
    assert "empty" in own(events, "correct", {"turn": answer.id, "text": "  "})["notice"]["words"]
    assert store.turn(ANN, answer.id).correction == "A **blue** square."
    told = own(events, "correct", {"turn": answer.id, "remove": True})
    assert "The right answer" not in told["thread"]["html"]
    assert store.turn(ANN, answer.id).correction is None


def test_words_of_a_correction_are_found_and_marked(events: ChatEvents, store: ConversationStore) -> None:
    conversation = ask(events)
    own(events, "correct", {"turn": answer_of(store, conversation).id, "text": "It is a turquoise kite."})
    html = events.answered(events.list, ANN, {"search": "turquoise"})["list"]["html"]
    assert 'It is a <mark class="hit">turquoise</mark> kite.' in html


def test_a_hit_in_another_version_is_opened_and_pointed_at(
    events: ChatEvents, store: ConversationStore
) -> None:
    conversation = ask(events, text="About zebras")
    question = store.load(ANN, conversation).shown[0]
    list(events.streamed(ANN, {"kind": "edit", "key": "e", "turn": question.id, "text": "About okapis"}))
    assert store.load(ANN, conversation).shown[0].text == "About okapis"
    store.rename(ANN, conversation, "Animals")  # or the title would be the hit
    (found,) = store.recent(ANN, "zebras")
    told = events.answered(events.open, ANN, {"conversation": conversation, "turn": found.hit_turn_id})
    assert told["thread"]["focus"] == question.id and "About zebras" in told["thread"]["html"]
    other = ask(events, key="k2", text="Something else")
    told = events.answered(events.open, ANN, {"conversation": other, "turn": question.id})
    assert "Something else" in told["thread"]["html"]


def test_pinned_archived_and_tagged_conversations_are_listed_as_such(
    events: ChatEvents, store: ConversationStore
) -> None:
    old, new = ask(events, text="Old one"), ask(events, key="k2", text="New one")
    html = own(events, "pin", {"conversation": old, "on": True})["list"]["html"]
    assert html.index("Pinned") < html.index("Old one") < html.index("Today") < html.index("New one")
    told = own(events, "tag", {"conversation": new, "tags": ["to check", "shapes"]})["list"]
    assert told["tags"] == ["shapes", "to check"] and 'dir="auto">to check</span>' in told["html"]
    tagged = events.answered(events.list, ANN, {"tag": "shapes"})["list"]
    assert "New one" in tagged["html"] and "Old one" not in tagged["html"] and tagged["tag"] == "shapes"
    left = own(events, "archive", {"conversation": new, "on": True})["list"]["html"]
    assert "New one" not in left
    archived = events.answered(events.list, ANN, {"archived": True})["list"]
    assert "New one" in archived["html"] and "Old one" not in archived["html"] and archived["archived"]
    assert "data-archived" in events.answered(events.list, ANN, {"search": "new"})["list"]["html"]
    back = own(events, "archive", {"conversation": new, "on": False, "archived": True})["list"]
    assert "New one" not in back["html"]  # the view that was sent along is the one that comes back
    assert "notice" in own(events, "tag", {"conversation": new, "tags": ["x" * 61]})
    assert store.load(ANN, new).tags == ("shapes", "to check")


def test_a_private_conversation_is_so_from_its_first_question_and_in_nobodys_review(
    events: ChatEvents, store: ConversationStore
) -> None:
    secret = ask(events, private=True)
    assert store.load(ANN, secret).is_private
    assert store.curation.page(Filters()) == []
    told = own(events, "private", {"conversation": secret, "on": False})
    assert told["thread"]["private"] is False
    assert [item.conversation_id for item in store.curation.page(Filters())] == [secret]
    told = own(events, "private", {"conversation": secret, "on": True})
    assert told["thread"]["private"] is True and "Not used for training" in told["list"]["html"]
    assert store.curation.page(Filters()) == []


def test_nobody_does_any_of_it_with_anothers(events: ChatEvents, store: ConversationStore) -> None:
    conversation = ask(events)
    answer = answer_of(store, conversation)
    before = store.exchange.json(ANN, conversation)
    data = {
        "conversation": conversation, "turn": answer.id, "rating": "down", "reasons": ["rude"], "note": "mine",
        "text": "mine", "title": "mine", "tags": ["mine"], "on": True,
    }  # fmt: skip
    for name in EVENTS:
        told = own(events, name, data, BOB)
        assert set(told) == {"notice"}, name
        assert "What is it" not in str(told)
    assert store.exchange.json(ANN, conversation) == before
    assert store.history.tags(BOB) == {} and store.recent(BOB) == []
    told = events.answered(events.open, BOB, {"conversation": conversation, "turn": answer.id})
    assert told["thread"]["gone"] and not told["thread"]["html"]
