"""The log: what is kept, in which order, and whose it is."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, update

from conversations.errors import (
    AlreadyAnswered,
    AnswerRunning,
    InvalidText,
    NotFound,
    UnwritableFolder,
)
from conversations.messages import Message
from conversations.store import ConversationStore
from conversations.tables import ConversationRow
from conversations.turns import AnswerOutcome
from tests.conversations.small_log import (
    OUTCOME,
    ROOT,
    SETTINGS,
    answered,
    asked,
    database_url,
    open_store,
    png,
    texts,
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


def test_an_answer_keeps_everything_it_was_asked_with_and_how_it_ended(store: ConversationStore) -> None:
    question = asked(store)
    turn = store.start_answer("ann", question.id, SETTINGS)
    assert turn.answer is not None and turn.answer.settings == SETTINGS
    assert (turn.text, turn.answer.finish_reason, turn.parent_id) == ("", "running", question.id)
    outcome = AnswerOutcome("A", "failed", "The worker died.", 9, 1, 33.5, 99.0)
    details = store.finish_answer(turn.id, outcome).answer
    assert details is not None and details.settings == SETTINGS
    assert (details.finish_reason, details.error) == ("failed", "The worker died.")
    assert (details.num_prompt_tokens, details.num_completion_tokens) == (9, 1)
    assert (details.first_token_ms, details.duration_ms) == (33.5, 99.0)


def test_times_are_utc(store: ConversationStore) -> None:
    turn = asked(store)
    for moment in (turn.created_at, store.load("ann", turn.conversation_id).updated_at):
        assert moment.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_what_has_come_of_an_answer_can_be_read_while_it_runs(store: ConversationStore) -> None:
    question = asked(store)
    answer = store.start_answer("ann", question.id, SETTINGS)
    assert store.save_partial(answer.id, "A red")
    assert texts(store, question.conversation_id) == ["What is it?", "A red"]
    assert store.turn("ann", answer.id).text == "A red"


def test_the_first_end_of_an_answer_counts(store: ConversationStore) -> None:
    answer = answered(store, asked(store), "whole")
    assert store.save_partial(answer.id, "late") is False
    assert store.finish_answer(answer.id, AnswerOutcome("late", "stopped")) == answer


def test_an_answer_cannot_end_as_running(store: ConversationStore) -> None:
    answer = store.start_answer("ann", asked(store).id, SETTINGS)
    with pytest.raises(ValueError, match="cannot end with 'running'"):
        store.finish_answer(answer.id, AnswerOutcome("", "running"))


# Versions and branches


def test_retry_keeps_the_earlier_answer_as_another_version(store: ConversationStore) -> None:
    question = asked(store)
    first, second = answered(store, question, "first"), answered(store, question, "second")
    assert (second.version, second.num_versions) == (2, 2)
    assert [turn.text for turn in store.versions("ann", first.id)] == ["first", "second"]
    assert [turn.version for turn in store.versions("ann", second.id)] == [1, 2]
    assert texts(store, question.conversation_id)[-1] == "second"
    store.show("ann", first.id)
    assert texts(store, question.conversation_id)[-1] == "first"


def test_an_edited_question_is_a_version_and_each_keeps_what_follows(
    store: ConversationStore,
) -> None:
    first = asked(store, "one")
    conversation_id = first.conversation_id
    answer = answered(store, first, "answer to one")
    old = store.add_question("ann", conversation_id, "follow-up", parent_id=answer.id)
    answered(store, old, "answer to follow-up")
    edited = store.add_question("ann", conversation_id, "one, edited", parent_id=None)
    assert (edited.version, edited.num_versions) == (2, 2)
    answered(store, edited, "answer to the edited")
    assert texts(store, conversation_id) == ["one, edited", "answer to the edited"]
    store.show("ann", first.id)
    assert texts(store, conversation_id) == ["one", "answer to one", "follow-up", "answer to follow-up"]
    store.show("ann", edited.id)
    assert texts(store, conversation_id) == ["one, edited", "answer to the edited"]
    assert [turn.text for turn in store.path("ann", old.id)] == ["one", "answer to one", "follow-up"]


def test_showing_a_turn_on_a_hidden_branch_shows_the_way_to_it(store: ConversationStore) -> None:
    first = asked(store, "one")
    answer = answered(store, first, "answer to one")
    store.add_question("ann", first.conversation_id, "edited", parent_id=None)
    store.show("ann", answer.id)
    assert texts(store, first.conversation_id) == ["one", "answer to one"]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=4, max_size=8))
def test_any_tree_reads_as_a_path_of_parents_with_whole_versions(
    store: ConversationStore, steps: list[tuple[int, bool]]
) -> None:
    turns = [asked(store, "root")]
    conversation_id = turns[0].conversation_id
    for where, go_back in steps:
        parent = turns[where % len(turns)]
        if parent.role == "user":
            turns.append(answered(store, parent, f"answer {len(turns)}"))
        else:
            turns.append(store.add_question("ann", conversation_id, f"q {len(turns)}", parent_id=parent.id))
        if go_back:
            store.show("ann", turns[where % len(turns)].id)
    newest = turns[-1]
    store.show("ann", newest.id)
    shown = store.load("ann", conversation_id).shown
    assert newest.id in [turn.id for turn in shown]
    assert [turn.parent_id for turn in shown] == [None, *(turn.id for turn in shown[:-1])]
    for turn in shown:
        versions = store.versions("ann", turn.id)
        assert [version.version for version in versions] == list(range(1, turn.num_versions + 1))
        assert versions[turn.version - 1] == turn
    assert store.path("ann", shown[-1].id) == shown


# Twice, two tabs, a crash


def test_sending_twice_makes_one_turn(store: ConversationStore) -> None:
    conversation = store.create("ann")
    first = store.add_question("ann", conversation.id, "hello", request_key="press-1")
    assert store.add_question("ann", conversation.id, "hello", request_key="press-1") == first
    store.start_answer("ann", first.id, SETTINGS, request_key="press-1")
    assert store.add_question("ann", conversation.id, "hello", request_key="press-1").id == first.id
    assert len(store.load("ann", conversation.id).shown) == 2


def test_a_second_press_after_the_answer_asks_for_no_second_one(
    store: ConversationStore,
) -> None:
    question = asked(store)
    answer = store.start_answer("ann", question.id, SETTINGS, request_key="press-1")
    store.finish_answer(answer.id, OUTCOME)
    with pytest.raises(AlreadyAnswered) as refused:
        store.start_answer("ann", question.id, SETTINGS, request_key="press-1")
    assert refused.value.answer_id == answer.id
    assert store.start_answer("ann", question.id, SETTINGS, request_key="press-2").version == 2


def test_the_same_key_in_two_conversations_makes_two_turns(store: ConversationStore) -> None:
    first, second = store.create("ann"), store.create("ann")
    a = store.add_question("ann", first.id, "hello", request_key="k")
    b = store.add_question("ann", second.id, "hello", request_key="k")
    assert a.id != b.id


def test_two_tabs_cannot_answer_one_conversation_at_once(store: ConversationStore) -> None:
    question = asked(store)
    running = store.start_answer("ann", question.id, SETTINGS)
    with pytest.raises(AnswerRunning) as refused:
        store.start_answer("ann", question.id, SETTINGS)
    assert refused.value.answer_id == running.id
    with pytest.raises(AnswerRunning):
        store.add_question("ann", question.conversation_id, "me too", parent_id=running.id)
    assert [turn.id for turn in store.load("ann", question.conversation_id).shown] == [
        question.id,
        running.id,
    ]
    asked(store, "another conversation goes on")
    store.finish_answer(running.id, OUTCOME)
    assert store.start_answer("ann", question.id, SETTINGS).version == 2


def test_of_many_tabs_at_the_same_moment_one_gets_the_answer(
    store: ConversationStore, tmp_path: Path
) -> None:
    question = asked(store)
    stores = [store, open_store(tmp_path)]
    outcomes: list[str] = []
    gate = threading.Barrier(8)

    def press(which: int) -> None:
        gate.wait()
        try:
            stores[which % 2].start_answer("ann", question.id, SETTINGS)
            outcomes.append("started")
        except AnswerRunning:
            outcomes.append("refused")

    in_threads([lambda which=which: press(which) for which in range(8)])  # type: ignore[misc]
    assert sorted(outcomes) == ["refused"] * 7 + ["started"]
    stores[1].close()


def test_an_answer_of_a_dead_page_is_interrupted_at_the_next_start(
    store: ConversationStore, tmp_path: Path
) -> None:
    question = asked(store)
    answer = store.start_answer("ann", question.id, SETTINGS)
    store.save_partial(answer.id, "A re")
    store.close()
    again = open_store(tmp_path)
    assert again.recover() == 1
    assert again.recover() == 0
    turn = again.turn("ann", answer.id)
    assert turn.answer is not None
    assert (turn.text, turn.answer.finish_reason) == ("A re", "interrupted")
    again.close()


def test_recovery_leaves_the_answers_of_a_living_page_alone(store: ConversationStore, tmp_path: Path) -> None:
    answer = store.start_answer("ann", asked(store).id, SETTINGS)
    other = open_store(tmp_path)
    assert other.recover() == 0
    assert store.save_partial(answer.id, "goes on")
    other.close()


def test_a_dead_pages_answer_blocks_nobody_even_without_recovery(
    store: ConversationStore, tmp_path: Path
) -> None:
    question = asked(store)
    left = store.start_answer("ann", question.id, SETTINGS)
    store.close()
    again = open_store(tmp_path)
    assert again.start_answer("ann", question.id, SETTINGS).version == 2
    details = again.turn("ann", left.id).answer
    assert details is not None and details.finish_reason == "interrupted"
    again.close()


def test_an_answer_whose_stream_is_lost_can_be_ended_by_hand(store: ConversationStore) -> None:
    question = asked(store)
    answer = store.start_answer("ann", question.id, SETTINGS)
    store.save_partial(answer.id, "A re")
    assert store.interrupt("ann", question.conversation_id) is True
    assert store.interrupt("ann", question.conversation_id) is False
    details = store.turn("ann", answer.id).answer
    assert details is not None and details.finish_reason == "interrupted"
    assert store.save_partial(answer.id, "A red") is False
    ended = store.finish_answer(answer.id, AnswerOutcome("A red", "stopped"))
    assert ended.answer is not None and (ended.text, ended.answer.finish_reason) == ("A red", "stopped")


def in_threads(jobs: list[Callable[[], object]]) -> None:
    failures: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_threads_appending_at_once_lose_and_double_nothing(store: ConversationStore) -> None:
    ids = [store.create(f"owner {number}").id for number in range(4)]
    ref = store.images.add(png())

    def talk(number: int) -> None:
        owner, parent_id = f"owner {number}", None
        for step in range(5):
            question = store.add_question(
                owner,
                ids[number],
                f"q{step}",
                [ref] if step == 0 else [],
                parent_id=parent_id,
                request_key=f"{step}",
            )
            answer = store.start_answer(owner, question.id, SETTINGS)
            store.save_partial(answer.id, "half")
            parent_id = store.finish_answer(answer.id, replace(OUTCOME, text=f"a{step}")).id
            assert len(store.load(owner, ids[number]).shown) == 2 * step + 2

    in_threads([lambda number=number: talk(number) for number in range(4)])  # type: ignore[misc]
    for number, conversation_id in enumerate(ids):
        expected = [text for step in range(5) for text in (f"q{step}", f"a{step}")]
        assert texts(store, conversation_id, f"owner {number}") == expected


def test_the_same_press_from_many_threads_is_one_turn(store: ConversationStore) -> None:
    conversation = store.create("ann")
    found: list[int] = []

    def press() -> None:
        found.append(store.add_question("ann", conversation.id, "hi", request_key="k").id)

    in_threads([press] * 8)
    assert len(set(found)) == 1 and len(store.load("ann", conversation.id).shown) == 1


# Texts


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


# The sidebar


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


def test_a_workers_impossible_numbers_cost_no_answer(store: ConversationStore) -> None:
    answer = store.start_answer("ann", asked(store).id, SETTINGS)
    outcome = AnswerOutcome("A", "stop", None, 2**70, -1, float("nan"), float("inf"))
    ended = store.finish_answer(answer.id, outcome).answer
    assert ended is not None and ended.finish_reason == "stop"
    assert (ended.num_prompt_tokens, ended.num_completion_tokens) == (None, None)
    assert (ended.first_token_ms, ended.duration_ms) == (None, None)


def test_renaming_keeps_the_new_title(store: ConversationStore) -> None:
    question = asked(store)
    answer = answered(store, question)
    store.rename("ann", question.conversation_id, "  My\nsquares ")
    store.add_question("ann", question.conversation_id, "more", parent_id=answer.id)
    assert [summary.title for summary in store.recent("ann", "squares")] == ["My squares"]
    for bad in ("", "  ", "x" * 201, "a\0"):
        with pytest.raises(InvalidText):
            store.rename("ann", question.conversation_id, bad)


def test_a_new_system_prompt_leaves_earlier_answers_as_they_were(store: ConversationStore) -> None:
    question = asked(store)
    answer = answered(store, question)
    store.set_system_prompt("ann", question.conversation_id, "Rhyme.")
    assert store.load("ann", question.conversation_id).system_prompt == "Rhyme."
    assert store.turn("ann", answer.id) == answer


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


# Whose it is


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
        for call in calls.values():
            with pytest.raises(NotFound):
                call(who)
        assert store.recent(who) == []
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


def test_only_questions_are_answered(store: ConversationStore) -> None:
    answer = answered(store, asked(store))
    with pytest.raises(NotFound, match="not a question"):
        store.start_answer("ann", answer.id, SETTINGS)


@pytest.mark.parametrize("owner", ["", "x" * 201, "a\0b"])
def test_a_conversation_needs_a_proper_owner(store: ConversationStore, owner: str) -> None:
    with pytest.raises(InvalidText):
        store.create(owner)


def test_pictures_that_cannot_be_stored_are_told_when_the_store_opens(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableFolder, match="file/pictures"):
        ConversationStore.open(f"sqlite:///{tmp_path}/chats.db", tmp_path / "file" / "pictures")


WRITER = """
import sys, threading
from pathlib import Path
from conversations.store import ConversationStore
from conversations.tables import TurnRow
from conversations.turns import AnswerOutcome, AnswerSettings

folder = Path(sys.argv[1])
store = ConversationStore.open(sys.argv[2], folder / "pictures")
settings = AnswerSettings("demo", "llava_v0", "", 0.2, 0.7, 64)
printing = threading.Lock()

def say(*words):
    with printing:
        print(*words, flush=True)

def talk(owner):
    parent_id, conversation_id = None, store.create(owner).id
    for step in range(10_000):
        question = store.add_question(owner, conversation_id, f"question {step}", parent_id=parent_id)
        say("question", owner, question.id)
        answer = store.start_answer(owner, question.id, settings)
        say("started", owner, answer.id)
        store.save_partial(answer.id, "half")
        say("partial", owner, answer.id)
        parent_id = store.finish_answer(answer.id, AnswerOutcome(f"answer {step}", "stop")).id
        say("finished", owner, answer.id)

for number in range(3):
    threading.Thread(target=talk, args=(f"owner{number}",)).start()
"""


def test_kill_9_loses_no_committed_turn_and_leaves_no_half_one(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), database_url(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(60)]
        writer.kill()
        lines += [line for line in writer.stdout if line.endswith("\n")]
    seen: dict[tuple[str, int], str] = {}
    for line in lines:
        what, owner, turn_id = line.split()
        seen[owner, int(turn_id)] = what
    store = open_store(tmp_path)
    num_recovered = store.recover()
    assert num_recovered <= 3
    expected = {"started": ("", "half"), "partial": ("half", "answer"), "finished": ("answer",)}
    for (who, answer_id), what in seen.items():
        turn = store.turn(who, answer_id)
        if what == "question":
            assert turn.role == "user" and turn.text.startswith("question")
        else:
            assert turn.answer is not None and turn.answer.finish_reason in ("stop", "interrupted")
            assert turn.text.rstrip("0123456789 ") in expected[what]
    for number in range(3):
        for summary in store.recent(f"owner{number}"):
            shown = store.load(f"owner{number}", summary.id).shown
            assert all(turn.answer is None or turn.answer.finish_reason != "running" for turn in shown)
            assert [turn.parent_id for turn in shown] == [None, *(turn.id for turn in shown[:-1])]
    store.close()
