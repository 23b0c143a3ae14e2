"""One turn, from an order to rows in the log, with a worker that says what it is told."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from app.answering import Update
from app.turns import Ask, Choices, Edit, Retry, Turns, messages_of
from app.worker_client import (
    Finished,
    Heartbeat,
    Phase,
    Piece,
    WorkerUnreachable,
)
from app.worker_status import WorkerStatus
from conversations.errors import AlreadyAnswered, AnswerRunning, InvalidText, NotFound
from conversations.messages import ImageRef
from conversations.store import ConversationStore
from tests.app.scripted_worker import A_WHOLE_ANSWER, READY, ScriptedWorker

ANN, BOB = "user:ann", "user:bob"


def ask(text: str = "What is it?", conversation_id: str | None = None, key: str = "k1", pictures=()) -> Ask:
    return Ask(conversation_id, text, tuple(pictures), key)


def run(turns: Turns, order, choices: Choices | None = None, owner: str = ANN) -> list[Update]:
    return list(turns.run(owner, order, choices or Choices()))


def test_a_question_is_in_the_log_before_it_is_asked(turns: Turns, store: ConversationStore, worker) -> None:
    updates = turns.run(ANN, ask(), Choices())
    first = next(updates)
    question, answer = store.load(ANN, first.conversation_id).shown
    assert (question.text, answer.answer.finish_reason) == ("What is it?", "running")
    assert worker.asked == []
    list(updates)


def test_phases_are_told_in_words_and_then_the_text_grows(turns: Turns, worker, picture: ImageRef) -> None:
    worker.lines = [(Phase("queued", 2), *A_WHOLE_ANSWER)]
    updates = run(turns, ask(pictures=[picture]))
    assert [each.phase for each in updates if each.phase] == [
        "Sending", "Queued at position 2", "Reading the picture", "Answering",
    ]  # fmt: skip
    texts = [each.text for each in updates]
    assert texts[-1] == "A red circle." and sorted(texts, key=len) == texts
    assert updates[-1].ended == "stop" and all(each.ended is None for each in updates[:-1])


def test_the_end_is_logged_with_settings_counts_and_times(turns: Turns, store: ConversationStore) -> None:
    choices = Choices("", "Be brief.", 0.5, 0.9, 77, 42)
    last = run(turns, ask(), choices)[-1]
    answer = store.load(ANN, last.conversation_id).shown[-1]
    details = answer.answer
    assert answer.text == "A red circle."
    assert (details.model, details.template, details.system_prompt) == ("scripted", "llava_v0", "Be brief.")
    assert (details.temperature, details.top_p, details.max_new_tokens, details.seed) == (0.5, 0.9, 77, 42)
    assert (details.finish_reason, details.num_prompt_tokens, details.num_completion_tokens) == (
        "stop",
        40,
        5,
    )
    assert 0 <= details.first_token_ms <= details.duration_ms


def test_a_seed_is_drawn_and_logged_where_none_was_chosen(
    turns: Turns, store: ConversationStore, worker
) -> None:
    last = run(turns, ask())[-1]
    seed = store.load(ANN, last.conversation_id).shown[-1].answer.seed
    assert seed is not None and worker.asked[0].seed == seed


def test_a_follow_up_is_asked_with_what_the_log_holds(turns: Turns, worker, picture: ImageRef) -> None:
    first = run(turns, ask(pictures=[picture]))[-1]
    run(turns, ask("And its size?", first.conversation_id, "k2"))
    asked = worker.asked[1].messages
    assert [each.role for each in asked] == ["user", "assistant", "user"]
    assert [each.text for each in asked] == ["What is it?", "A red circle.", "And its size?"]
    assert [each.sha256 for each in asked[0].images] == [picture.sha256]


def test_retry_is_a_second_version_and_edit_a_second_question(
    turns: Turns, store, worker, picture: ImageRef
) -> None:
    first = run(turns, ask(pictures=[picture]))[-1]
    second = run(turns, Retry(first.question_id, "k2"))[-1]
    assert (second.question_id, second.conversation_id) == (first.question_id, first.conversation_id)
    assert store.turn(ANN, second.answer_id).num_versions == 2
    edited = run(turns, Edit(first.question_id, "What colour?", "k3"))[-1]
    question = store.turn(ANN, edited.question_id)
    assert (question.text, question.num_versions, question.images[0].sha256) == (
        "What colour?",
        2,
        picture.sha256,
    )
    assert len(worker.asked[-1].messages) == 1


def test_the_same_request_twice_is_one_turn(turns: Turns, store: ConversationStore) -> None:
    first = run(turns, ask())[-1]
    with pytest.raises(AlreadyAnswered):
        run(turns, ask())
    with pytest.raises(AlreadyAnswered):
        run(turns, ask(conversation_id=first.conversation_id))
    assert len(store.recent(ANN)) == 1
    assert len(store.load(ANN, first.conversation_id).shown) == 2


def test_a_second_question_while_one_is_answered_is_refused_and_nothing_is_logged(
    turns: Turns, store
) -> None:
    updates = turns.run(ANN, ask(), Choices())
    conversation = next(updates).conversation_id
    with pytest.raises(AnswerRunning):
        run(turns, ask("me too", conversation, "k2"))
    with pytest.raises(AnswerRunning):
        run(turns, ask())  # the very same, sent twice at once
    list(updates)
    assert [each.text for each in store.load(ANN, conversation).shown] == ["What is it?", "A red circle."]


@pytest.mark.parametrize("text", ["", "  \n\t ", "a\0b"])
def test_nothing_and_nul_are_refused_before_anything_is_logged(
    turns: Turns, store, worker, text: str
) -> None:
    with pytest.raises(InvalidText):
        run(turns, ask(text))
    assert store.recent(ANN) == [] and worker.asked == []


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1.0}, {"temperature": 3.0}, {"top_p": 0.0}, {"max_new_tokens": 0}, {"max_new_tokens": 10**9},
     {"seed": -1}, {"seed": 2**63}, {"system_prompt": "a\0"}, {"temperature": float("nan")}],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_before_anything_is_logged(
    turns: Turns, store, wrong: dict
) -> None:
    with pytest.raises(InvalidText):
        run(turns, ask(), replace(Choices(), **wrong))
    assert store.recent(ANN) == []


def test_another_owner_can_neither_go_on_nor_retry_nor_edit_nor_stop(turns: Turns) -> None:
    first = run(turns, ask())[-1]
    for order in (
        ask("mine", first.conversation_id, "b1"),
        Retry(first.question_id, "b2"),
        Edit(first.question_id, "x", "b3"),
    ):
        with pytest.raises(NotFound):
            run(turns, order, owner=BOB)
    with pytest.raises(NotFound):
        turns.stop(BOB, first.conversation_id)


def test_an_answer_cannot_be_edited_into_a_question(turns: Turns) -> None:
    first = run(turns, ask())[-1]
    with pytest.raises(NotFound):
        run(turns, Edit(first.answer_id, "forged", "k2"))
    with pytest.raises(NotFound):
        run(turns, Retry(first.answer_id, "k3"))


def test_while_the_worker_starts_the_page_says_so_and_then_asks(store: ConversationStore, worker) -> None:
    states = [WorkerStatus("The model is loading, 40%", waits=True, fraction=0.4)] * 3
    turns = Turns(store, worker, lambda: states.pop() if states else READY, seconds_between_updates=0.0)
    updates = run(turns, ask())
    assert "The model is loading, 40%" in [each.phase for each in updates]
    assert updates[-1].ended == "stop"


def test_waiting_for_the_worker_has_an_end_and_can_be_stopped(store: ConversationStore, worker) -> None:
    waiting = WorkerStatus("The model is restarting in 4 s", waits=True)
    worker.lines = [(WorkerUnreachable("http://w", "refused"),)]
    turns = Turns(store, worker, lambda: waiting, seconds_to_wait=0.3)
    assert run(turns, ask())[-1].ended == "failed"
    turns = Turns(store, worker, lambda: waiting, seconds_to_wait=3000)
    updates = turns.run(ANN, ask(key="k2"), Choices())
    conversation = next(updates).conversation_id
    turns.stop(ANN, conversation)
    assert list(updates)[-1].ended == "stopped"


def test_pieces_are_joined_to_a_dozen_updates_a_second(
    store: ConversationStore, worker: ScriptedWorker
) -> None:
    def quickly():
        for _ in range(300):
            time.sleep(0.001)
            yield Piece("x")
        yield Finished("length")

    worker.lines = [quickly()]  # type: ignore[list-item]
    began = time.monotonic()
    updates = run(Turns(store, worker, lambda: READY), ask())
    elapsed = time.monotonic() - began
    assert len(updates) <= 4 + elapsed / 0.08
    assert updates[-1].text == "x" * 300


def test_a_partial_answer_is_saved_while_it_is_written(store: ConversationStore, worker, monkeypatch) -> None:
    monkeypatch.setattr("app.answering.SECONDS_BETWEEN_SAVES", 0.0)
    worker.lines = [(Piece("Half"), Heartbeat(), Heartbeat(), Piece(" whole"), Finished("stop"))]
    turns = Turns(store, worker, lambda: READY, seconds_between_updates=0.0)
    seen = set()
    for update in turns.run(ANN, ask(), Choices()):
        seen.add(store.load(ANN, update.conversation_id).shown[-1].text)
    assert "Half" in seen


def test_a_question_that_was_never_asked_is_an_earlier_version_of_the_next(
    turns: Turns, store, worker
) -> None:
    conversation = store.create(ANN).id
    lost = store.add_question(ANN, conversation, "lost in a crash")
    run(turns, ask("next", conversation, "k9"))
    assert [each.text for each in worker.asked[0].messages] == ["next"]
    question = store.load(ANN, conversation).shown[0]
    assert (question.text, question.num_versions) == ("next", 2)
    assert messages_of((lost,))[0].text == "lost in a crash"


def test_an_answer_asked_before_the_worker_was_there_is_logged_with_its_model(store, worker) -> None:
    said = [WorkerStatus("starting", waits=True), WorkerStatus("starting", waits=True), READY]
    turns = Turns(
        store, worker, lambda: said.pop(0) if len(said) > 1 else said[0], seconds_between_updates=0.0
    )
    last = run(turns, ask())[-1]
    details = store.turn(ANN, last.answer_id).answer
    assert (details.model, details.template) == ("scripted", "llava_v0")
    assert worker.asked[0].model == "scripted"


def test_a_question_waits_as_long_as_the_worker_is_paused_and_is_told_so(
    store: ConversationStore, worker: ScriptedWorker
) -> None:
    """Far beyond the patience that a worker gets which is only loading."""
    paused = WorkerStatus("The model rests while “Colours” is trained", waits=True, paused=True)
    looks: list[float] = []

    def status() -> WorkerStatus:
        looks.append(time.monotonic())
        return paused if looks[-1] - looks[0] < 1.0 or len(looks) < 3 else READY

    updates = run(Turns(store, worker, status, seconds_to_wait=0.05), ask())
    assert looks[-1] - looks[0] >= 1.0 and len(worker.asked) == 1
    assert paused.words in [each.phase for each in updates] and updates[-1].ended == "stop"


def test_an_adapter_that_was_chosen_is_asked_for_and_logged_by_its_name(
    turns: Turns, store: ConversationStore, worker: ScriptedWorker
) -> None:
    last = run(turns, ask(), Choices(model="Corrected-colours"))[-1]
    assert worker.asked[-1].model == "Corrected-colours"
    answer = store.turn(ANN, last.answer_id).answer
    assert answer is not None and answer.model == "Corrected-colours"
    run(turns, ask("And now?", last.conversation_id, "k2"), Choices())
    assert worker.asked[-1].model == "scripted", "the next one may be the base's again"
