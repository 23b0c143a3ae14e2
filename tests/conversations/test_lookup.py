"""Whose it is: another's is answered as what is not there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conversations.errors import (
    InvalidText,
    NotFound,
)
from conversations.filters import Filters
from conversations.store import ConversationStore
from tests.conversations.small_log import (
    SETTINGS,
    answered,
    asked,
    png,
)


def test_every_call_tells_a_stranger_that_there_is_nothing(store: ConversationStore) -> None:
    ref = store.images.add(png())
    conversation = store.create("ann")
    question = store.add_question("ann", conversation.id, "Mine?", [ref], request_key="k")
    answer = answered(store, question)
    before = store.load("ann", conversation.id)
    calls: dict[str, Callable[[str], object]] = {
        "load": lambda who: store.load(who, conversation.id),
        "add_question": lambda who: store.add_question(who, conversation.id, "hi", parent_id=answer.id),
        "add_question again": lambda who: store.add_question(who, conversation.id, "hi", request_key="k"),
        "start_answer": lambda who: store.start_answer(who, question.id, SETTINGS),
        "interrupt": lambda who: store.interrupt(who, conversation.id),
        "turn": lambda who: store.turn(who, answer.id),
        "path": lambda who: store.path(who, answer.id),
        "versions": lambda who: store.versions(who, answer.id),
        "show": lambda who: store.show(who, answer.id),
        "rate": lambda who: store.rate(who, answer.id, "up"),
        "rename": lambda who: store.rename(who, conversation.id, "Yours"),
        "set_system_prompt": lambda who: store.set_system_prompt(who, conversation.id, "Yours"),
        "delete": lambda who: store.delete(who, conversation.id),
    }
    history: dict[str, Callable[[str], object]] = {
        "pin": lambda who: store.history.pin(who, conversation.id, True),
        "archive": lambda who: store.history.archive(who, conversation.id, True),
        "set_private": lambda who: store.history.set_private(who, conversation.id, True),
        "tag": lambda who: store.history.tag(who, conversation.id, ["mine"]),
    }
    feedback: dict[str, Callable[[str], object]] = {
        "rate": lambda who: store.feedback.rate(who, answer.id, "up"),
        "correct": lambda who: store.feedback.correct(who, answer.id, "No."),
    }
    exchange: dict[str, Callable[[str], object]] = {
        "json": lambda who: store.exchange.json(who, conversation.id),
        "markdown": lambda who: store.exchange.markdown(who, conversation.id),
        "whole": lambda who: store.exchange.whole(who, conversation.id),
    }
    curation: dict[str, Callable[[str], object]] = {
        "item": lambda who: store.curation.item(answer.id, owner=who),
        "set_state": lambda who: store.curation.set_state(who, answer.id, "approved", owner=who),
        "tag": lambda who: store.curation.tag(who, answer.id, ["mine"], owner=who),
        "rate": lambda who: store.curation.rate(who, answer.id, "up", owner=who),
        "correct": lambda who: store.curation.correct(who, answer.id, "No.", owner=who),
        "keep_one": lambda who: store.curation.keep_one(who, [answer.id], answer.id, owner=who),
    }
    parts: tuple[tuple[object, dict[str, Callable[[str], object]], set[str]], ...] = (
        (store.history, history, {"tags", "recent"}),
        (store.feedback, feedback, set()),
        (store.exchange, exchange, {"add", "read_json"}),
    )
    for part, its_calls, not_by_id in parts:
        assert {name for name in dir(part) if not name.startswith("_")} - not_by_id == set(its_calls)
    public = {name for name in dir(ConversationStore) if not name.startswith("_")}
    not_of_a_person = {
        "open",
        "close",
        "create",
        "recent",
        "image_allowed",
        "save_partial",
        "set_model",
        "finish_answer",
        "recover",
    }
    assert public - not_of_a_person == {name.split()[0] for name in calls}
    for who in ("bob", "", "ann ", "ANN", "%", "a\0", "\ud800"):
        for call in (
            call for some in (calls, history, feedback, exchange, curation) for call in some.values()
        ):
            with pytest.raises(NotFound):
                call(who)
        assert store.recent(who) == store.history.recent(who, archived=None) == []
        assert store.history.tags(who) == {}
        assert store.curation.page(Filters(owner=who)) == []
        assert not store.image_allowed(who, ref.sha256)
    assert store.load("ann", conversation.id) == before
    assert store.image_allowed("ann", ref.sha256)


def test_ones_own_conversation_cannot_be_hung_under_anothers_turn(store: ConversationStore) -> None:
    theirs = asked(store, owner="bob")
    mine, also_mine = store.create("ann"), asked(store)
    for parent_id in (theirs.id, also_mine.id, 10**6, -1, 2**70, "1", 1.5):
        with pytest.raises(NotFound):
            store.add_question("ann", mine.id, "hi", parent_id=parent_id)  # type: ignore[arg-type]
    assert store.load("ann", mine.id).shown == ()


def test_what_is_not_there_and_what_is_anothers_read_the_same(store: ConversationStore) -> None:
    theirs = asked(store, owner="bob")
    with pytest.raises(NotFound) as others:
        store.load("ann", theirs.conversation_id)
    with pytest.raises(NotFound) as nobodys:
        store.load("ann", "0" * 32)
    assert str(others.value).replace(theirs.conversation_id, "") == str(nobodys.value).replace("0" * 32, "")


def test_a_question_follows_an_answer_or_nothing(store: ConversationStore) -> None:
    question = asked(store)
    with pytest.raises(NotFound, match="is a question; a question follows an answer"):
        store.add_question("ann", question.conversation_id, "and?", parent_id=question.id)
    loaded = store.load("ann", question.conversation_id)
    assert loaded.shown == (question,) and loaded.last_answer_id is None
    again = store.add_question("ann", loaded.id, "and?", parent_id=loaded.last_answer_id)
    assert (again.version, again.num_versions) == (2, 2)
    answer = answered(store, again)
    store.add_question("ann", loaded.id, "more?", parent_id=answer.id)
    assert store.load("ann", loaded.id).last_answer_id == answer.id


@pytest.mark.parametrize("owner", ["", "x" * 201, "a\0b"])
def test_a_conversation_needs_a_proper_owner(store: ConversationStore, owner: str) -> None:
    with pytest.raises(InvalidText):
        store.create(owner)
