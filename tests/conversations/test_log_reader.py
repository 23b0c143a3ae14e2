"""What the log holds is what an export gets: every branch, what people made of it, in the order it was begun."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conversations.examples import LoggedConversation
from conversations.export import export
from conversations.filters import Filters
from conversations.formats import FORMATS
from conversations.manifest import Manifest
from conversations.selection import Selection
from conversations.store import ConversationStore
from conversations.template import TEMPLATES
from conversations.turns import Turn
from tests.conversations.small_log import OUTCOME, SETTINGS, answered, asked, open_store, png


def read(store: ConversationStore, **filters: object) -> list[LoggedConversation]:
    return list(store.reader.conversations(Filters(**filters)))  # type: ignore[arg-type]


def answered_with(store: ConversationStore, question: Turn, text: str, **settings: object) -> Turn:
    answer = store.start_answer("ann", question.id, replace(SETTINGS, **settings))  # type: ignore[arg-type]
    return store.finish_answer(answer.id, replace(OUTCOME, text=text))


def test_turns_come_with_their_pictures_their_versions_and_their_ends(store: ConversationStore) -> None:
    conversation = store.create("ann")
    images = [store.images.add(png("red")), store.images.add(png("blue"))]
    question = store.add_question("ann", conversation.id, "What is it?", images)
    first = answered(store, question, "A cat.")
    second = answered(store, question, "A dog, mail me at ann@example.org.")
    (logged,) = read(store)
    assert logged.id == conversation.id
    asked_, one, two = logged.turns
    assert asked_.images == tuple(image.sha256 for image in images)
    assert (one.id, two.id) == (first.id, second.id)
    assert (one.is_shown, two.is_shown) == (False, True)
    assert (one.finish_reason, one.system_prompt) == ("stop", "Be brief.")
    assert (one.masked_text, two.masked_text) == (None, "A dog, mail me at [email].")


def test_ratings_corrections_and_decisions_come_along(store: ConversationStore) -> None:
    answer = answered(store, asked(store), "Wrong.")
    store.feedback.rate("ann", answer.id, "down")
    store.feedback.correct("ann", answer.id, "Right, call 030 1234567.")
    turn = read(store)[0].turns[1]
    assert (turn.rating, turn.correction) == ("down", "Right, call 030 1234567.")
    assert turn.masked_correction == "Right, call [phone]."
    assert turn.review_state == "pending"


def test_a_template_s_own_system_text_is_none(store: ConversationStore) -> None:
    own = TEMPLATES["llava_v0"].system
    answered_with(store, asked(store), "A", system_prompt=own, template="llava_v0")
    answered_with(store, asked(store), "A", system_prompt=own, template="vicuna_v1")
    answered_with(store, asked(store), "A", system_prompt="")
    assert [logged.turns[1].system_prompt for logged in read(store)] == ["", own, ""]


def test_conversations_come_in_the_order_in_which_they_were_begun(store: ConversationStore) -> None:
    ids = [answered(store, asked(store)).conversation_id for _ in range(5)]
    bobs = asked(store, owner="bob").conversation_id
    store.create("ann")
    assert [logged.id for logged in read(store, owner="ann")] == ids
    assert [logged.id for logged in read(store)] == [*ids, bobs]


def test_filters_say_which_answers_are_meant(store: ConversationStore) -> None:
    question = asked(store)
    answered_with(store, question, "one", model="old")
    answered_with(store, question, "two", model="new")
    answered_with(store, asked(store), "three", model="old")
    (logged,) = read(store, model="new")
    assert [turn.is_meant for turn in logged.turns[1:]] == [False, True]
    assert len(read(store, model="old")) == 2
    assert read(store, model="none of them") == []


def test_the_texts_of_private_conversations_are_not_even_read(store: ConversationStore) -> None:
    private = answered(store, asked(store))
    store.history.set_private("ann", private.conversation_id, True)
    answered(store, asked(store))
    found = read(store)
    assert [(logged.is_private, len(logged.turns)) for logged in found] == [(True, 0), (False, 2)]
    assert [logged.is_private for logged in read(store, owner="ann")] == [True, False]
    assert [logged.is_private for logged in read(store, finish_reason="stop")] == [False]


def test_a_wrong_answer_becomes_a_corrected_example(store: ConversationStore, tmp_path: Path) -> None:
    conversation = store.create("ann")
    image = store.images.add(png())
    question = store.add_question("ann", conversation.id, "What is it?", [image])
    answer = answered_with(store, question, "A cat.", system_prompt="")
    store.feedback.correct("ann", answer.id, "A dog.")
    manifest = export(
        store.reader.conversations(Filters()), store.images, tmp_path / "out", FORMATS["llava"], Selection()
    )
    text = (tmp_path / "out" / "train.json").read_text(encoding="utf-8")
    assert '{"from": "gpt", "value": "A dog."}' in text
    assert "A cat." not in text
    assert manifest.counts["rows"]["train"] == 1
    assert store.turn("ann", answer.id).text == "A cat."


@pytest.mark.parametrize("filters", [Filters(), Filters(has_picture=True)], ids=["all", "pictures"])
def test_a_stored_export_is_made_again_with_the_same_bytes(
    store: ConversationStore, tmp_path: Path, filters: Filters
) -> None:
    for number in range(6):
        conversation = store.create("ann")
        image = store.images.add(png(("red", "blue", "green")[number % 3]))
        question = store.add_question("ann", conversation.id, f"What is {number}?", [image])
        answered_with(store, question, "A thing.", system_prompt="")
    selection = Selection(filters, test=0.4, seed=2)

    def run(selection: Selection, name: str) -> None:
        conversations = store.reader.conversations(selection.filters, selection.last_turn)
        export(conversations, store.images, tmp_path / name, FORMATS["llava"], selection)

    run(store.reader.closed(selection), "one")
    # what comes later, whatever it is, is not in it
    last = store.load("ann", store.recent("ann")[0].id).shown[-1]
    assert last.parent_id is not None
    answered(store, store.turn("ann", last.parent_id), "A retry.")
    more = store.add_question("ann", last.conversation_id, "More?", parent_id=last.id)
    answered_with(store, more, "More.", system_prompt="")
    new = store.create("ann")
    late = store.add_question("ann", new.id, "New?", [store.images.add(png("white"))])
    answered_with(store, late, "New.", system_prompt="")
    private = answered(store, asked(store))
    store.history.set_private("ann", private.conversation_id, True)
    stored = Manifest.from_json((tmp_path / "one" / "manifest.json").read_text(encoding="utf-8"))
    assert store.reader.closed(stored.selection) == stored.selection
    run(stored.selection, "two")
    run(store.reader.closed(selection), "three")
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert len(files) >= 5
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    written = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "three").glob("t*.json"))
    assert "New?" in written


def test_an_answer_that_is_written_while_an_export_begins_is_in_none_of_its_runs(
    store: ConversationStore, tmp_path: Path
) -> None:
    before = answered(store, asked(store, "Before?"))
    running = store.start_answer("ann", asked(store, "Now?").id, SETTINGS)
    answered(store, asked(store, "Later?"))
    selection = store.reader.closed(Selection())
    assert selection.last_turn is not None and before.id <= selection.last_turn < running.id
    first = list(store.reader.conversations(Filters(), selection.last_turn))
    store.finish_answer(running.id, OUTCOME)
    assert list(store.reader.conversations(Filters(), selection.last_turn)) == first
    assert store.reader.closed(Selection()).last_turn > running.id  # type: ignore[operator]


def test_an_answer_whose_page_died_holds_no_export_up(store: ConversationStore, tmp_path: Path) -> None:
    """It will never be anything but broken off."""
    other = open_store(tmp_path)
    other.start_answer("ann", asked(other, "Now?").id, SETTINGS)
    last = answered(store, asked(store, "Later?"))
    assert store.reader.closed(Selection()).last_turn < last.id  # type: ignore[operator]
    other.close()
    assert store.reader.closed(Selection()).last_turn == last.id


@pytest.mark.parametrize("number", [0, 1, 2500])
def test_more_conversations_than_are_read_at_a_time(store: ConversationStore, number: int) -> None:
    from datetime import UTC, datetime

    from sqlalchemy import insert

    from conversations.tables import ConversationRow, TurnRow

    now = datetime(2026, 5, 1, tzinfo=UTC)  # one time for all, so that the id has to decide
    row = {"owner": "ann", "title": "t", "system_prompt": "", "created_at": now, "updated_at": now}
    turn = {"role": "user", "text": "Q", "is_shown": True, "created_at": now}
    ids = [f"{n:032x}" for n in range(number)]
    with store.reader._database.writing() as session:
        if number:
            session.execute(insert(ConversationRow), [row | {"id": id} for id in ids])
            session.execute(insert(TurnRow), [turn | {"conversation_id": id} for id in reversed(ids)])
    assert [logged.id for logged in read(store)] == ids
