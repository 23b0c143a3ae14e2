"""The life of an answer: started once, ended once, whoever else writes or dies meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conversations.errors import (
    AlreadyAnswered,
    AnswerRunning,
    NotFound,
)
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome
from tests.conversations.small_log import (
    OUTCOME,
    SETTINGS,
    answered,
    asked,
    open_store,
    png,
    texts,
)


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


def test_only_questions_are_answered(store: ConversationStore) -> None:
    answer = answered(store, asked(store))
    with pytest.raises(NotFound, match="not a question"):
        store.start_answer("ann", answer.id, SETTINGS)


def test_a_workers_impossible_numbers_cost_no_answer(store: ConversationStore) -> None:
    answer = store.start_answer("ann", asked(store).id, SETTINGS)
    outcome = AnswerOutcome("A", "stop", None, 2**70, -1, float("nan"), float("inf"))
    ended = store.finish_answer(answer.id, outcome).answer
    assert ended is not None and ended.finish_reason == "stop"
    assert (ended.num_prompt_tokens, ended.num_completion_tokens) == (None, None)
    assert (ended.first_token_ms, ended.duration_ms) == (None, None)


def test_a_new_system_prompt_leaves_earlier_answers_as_they_were(store: ConversationStore) -> None:
    question = asked(store)
    answer = answered(store, question)
    store.set_system_prompt("ann", question.conversation_id, "Rhyme.")
    assert store.load("ann", question.conversation_id).system_prompt == "Rhyme."
    assert store.turn("ann", answer.id) == answer


def test_the_same_press_from_many_threads_is_one_turn(store: ConversationStore) -> None:
    conversation = store.create("ann")
    found: list[int] = []

    def press() -> None:
        found.append(store.add_question("ann", conversation.id, "hi", request_key="k").id)

    in_threads([press] * 8)
    assert len(set(found)) == 1 and len(store.load("ann", conversation.id).shown) == 1
