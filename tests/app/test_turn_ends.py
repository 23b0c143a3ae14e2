"""How a turn ends before its answer is whole: stopped, left, failed, too long, or deleted meanwhile."""

from __future__ import annotations

import pytest

from app.turns import Choices, Retry, Turns
from app.worker_client import (
    ContextTooLong,
    Finished,
    Heartbeat,
    Piece,
    WorkerDied,
    WorkerLoading,
    WorkerOutOfMemory,
    WorkerTimeout,
    WorkerUnreachable,
)
from conversations.errors import NotFound
from conversations.store import ConversationStore
from tests.app.scripted_worker import A_WHOLE_ANSWER
from tests.app.test_turns import ANN, BOB, ask, run


def test_stop_ends_the_answer_and_closes_the_stream(turns: Turns, store: ConversationStore, worker) -> None:
    worker.lines = [(Piece("One"), *(Heartbeat() for _ in range(100_000)), Piece("two"), Finished("stop"))]
    updates = turns.run(ANN, ask(), Choices())
    while not (update := next(updates)).text:
        pass
    assert turns.stop(ANN, update.conversation_id)
    last = list(updates)[-1]
    assert (last.ended, last.text) == ("stopped", "One")
    assert store.load(ANN, update.conversation_id).shown[-1].answer.finish_reason == "stopped"
    assert worker.num_closed == 1
    assert not turns.stop(ANN, update.conversation_id)


def test_a_reader_who_leaves_stops_the_answer_and_what_had_come_is_kept(turns: Turns, store, worker) -> None:
    worker.lines = [(Piece("Half an"), Heartbeat(), Piece(" answer"), Finished("stop"))]
    updates = turns.run(ANN, ask(), Choices())
    while not (update := next(updates)).text:
        pass
    updates.close()
    answer = store.load(ANN, update.conversation_id).shown[-1]
    assert (answer.text, answer.answer.finish_reason) == ("Half an", "stopped")
    assert answer.answer.error.startswith("page_left: ")
    assert worker.num_closed == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (WorkerDied("http://w", "reset"), "died", "ended while it was answering"),
        (WorkerUnreachable("http://w", "refused"), "unreachable", "cannot be reached"),
        (WorkerOutOfMemory(507, "out_of_memory", "no"), "out_of_memory", "ran out of memory"),
        (WorkerTimeout("http://w", 60.0), "timeout", "sent nothing for 60 seconds"),
        (WorkerLoading(503, "loading", "x", {"fraction": 0.4}), "loading", "40%"),
    ],
)
def test_a_worker_that_fails_leaves_text_and_reason(
    turns: Turns, store, worker, error, code: str, said: str
) -> None:
    worker.lines = [(Piece("Begun"), error)]
    last = run(turns, ask())[-1]
    answer = store.load(ANN, last.conversation_id).shown[-1]
    assert (answer.text, answer.answer.finish_reason, last.ended) == ("Begun", "failed", "failed")
    assert answer.answer.error.startswith(f"{code}: ") and said in answer.answer.error


def test_a_fault_that_nobody_foresaw_is_told_and_logged_too(turns: Turns, store, worker, caplog) -> None:
    worker.lines = [(Piece("Begun"), ZeroDivisionError("oops"))]
    last = run(turns, ask())[-1]
    answer = store.load(ANN, last.conversation_id).shown[-1]
    assert (answer.text, answer.answer.finish_reason) == ("Begun", "failed")
    assert answer.answer.error.startswith("internal: ") and "ZeroDivisionError" in caplog.text
    assert "(ZeroDivisionError)" in answer.answer.error and "try it again" in answer.answer.error


def test_an_answer_that_is_broken_off_with_the_program_says_so(turns: Turns, store, worker) -> None:
    worker.lines = [(Piece("Begun"), SystemExit("bye"))]  # type: ignore[list-item]
    updates = turns.run(ANN, ask(), Choices())
    conversation = next(updates).conversation_id
    with pytest.raises(SystemExit):
        list(updates)
    answer = store.load(ANN, conversation).shown[-1]
    assert (answer.text, answer.answer.finish_reason) == ("Begun", "failed")
    assert "(SystemExit)" in answer.answer.error and "Retry" in answer.answer.error


def test_a_stream_without_an_end_is_no_whole_answer(turns: Turns, store, worker) -> None:
    worker.lines = [(Piece("Begun"),)]
    assert run(turns, ask())[-1].ended == "failed"


def test_failed_and_empty_answers_are_not_asked_along(turns: Turns, worker) -> None:
    worker.lines = [(WorkerDied("http://w", "reset"),), A_WHOLE_ANSWER]
    first = run(turns, ask("lost"))[-1]
    run(turns, ask("found", first.conversation_id, "k2"))
    assert [each.text for each in worker.asked[1].messages] == ["found"]


def _too_long(tokens: int) -> ContextTooLong:
    return ContextTooLong(
        400, "context_length_exceeded", "no", {"prompt_tokens": tokens, "context_tokens": 100}
    )


def test_a_message_too_long_by_itself_is_told_with_both_numbers(turns: Turns, store, worker) -> None:
    worker.lines = [(_too_long(25_000),)]
    last = run(turns, ask("word " * 20_000))[-1]
    error = store.load(ANN, last.conversation_id).shown[-1].answer.error
    assert error.startswith("message_too_long: ") and "25,000" in error and "100" in error


def test_a_conversation_too_long_fails_unless_the_oldest_turns_may_go(turns: Turns, store, worker) -> None:
    first = run(turns, ask("one"))[-1]
    conversation = first.conversation_id
    run(turns, ask("two", conversation, "k2"))
    worker.lines = [(_too_long(140),), (_too_long(140),), (_too_long(120),), A_WHOLE_ANSWER]
    failed = run(turns, ask("three", conversation, "k3"))[-1]
    assert store.load(ANN, conversation).shown[-1].answer.error.startswith("context_length_exceeded: ")
    last = run(turns, Retry(failed.question_id, "k4"), Choices(drop_oldest=True))[-1]
    assert (last.ended, last.note) == ("stop", "The oldest 4 turns were left out to make room.")
    assert [len(each.messages) for each in worker.asked[-3:]] == [5, 3, 1]
    assert [each.text for each in worker.asked[-1].messages] == ["three"]


def test_a_conversation_deleted_in_mid_answer_ends_quietly(turns: Turns, store, worker) -> None:
    updates = turns.run(ANN, ask(), Choices())
    conversation = next(updates).conversation_id
    store.delete(ANN, conversation)
    assert list(updates)[-1].ended is not None


def test_stop_reaches_an_answer_that_is_not_the_shown_version(turns: Turns, store, worker) -> None:
    first = run(turns, ask())[-1]
    worker.lines = [(Piece("One"), *(Heartbeat() for _ in range(100_000)), Finished("stop"))]
    updates = turns.run(ANN, Retry(first.question_id, "k2"), Choices())
    while not next(updates).text:
        pass
    store.show(ANN, first.answer_id)
    assert turns.stop(ANN, first.conversation_id)
    assert list(updates)[-1].ended == "stopped"
    assert not turns.stop(ANN, first.conversation_id)


def test_stop_ends_what_no_stream_is_left_to_end_shown_or_not(turns: Turns, store) -> None:
    first = run(turns, ask())[-1]
    settings = store.turn(ANN, first.answer_id).answer.settings
    left = store.start_answer(ANN, first.question_id, settings)
    store.show(ANN, first.answer_id)
    assert turns.stop(ANN, first.conversation_id)
    assert store.turn(ANN, left.id).answer.finish_reason == "interrupted"


def test_nobody_elses_answer_can_be_stopped(turns: Turns, worker) -> None:
    worker.lines = [(Piece("One"), Piece("two"), Finished("stop"))]
    updates = turns.run(ANN, ask(), Choices())
    first = next(updates)
    with pytest.raises(NotFound):
        turns.stop(BOB, first.conversation_id)
    assert list(updates)[-1].ended == "stop"
