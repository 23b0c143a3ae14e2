"""Every fault has a sentence that says what happened and what to do."""

from __future__ import annotations

import pytest

from app import wording
from app.worker_client import (
    ContextTooLong,
    ModelNotFound,
    PictureNotAccepted,
    WorkerBusy,
    WorkerDied,
    WorkerLoadFailed,
    WorkerLoading,
    WorkerOutOfMemory,
    WorkerProtocolError,
    WorkerRefused,
    WorkerTimeout,
    WorkerUnauthorized,
    WorkerUnreachable,
)
from app.worker_process import WorkerState
from conversations.errors import DiskFull

FAULTS = [
    WorkerUnreachable("http://w", "refused"),
    WorkerTimeout("http://w", 60),
    WorkerDied("http://w", "reset"),
    WorkerProtocolError("http://w", "no SSE"),
    WorkerRefused(500, "internal", ""),
    WorkerLoading(503, "loading", "x", {"fraction": 0.5}),
    WorkerLoadFailed(503, "load_failed", "config.json is missing"),
    WorkerBusy(429, "queue_full", "full"),
    WorkerOutOfMemory(507, "out_of_memory", "no room"),
    WorkerUnauthorized(401, "unauthorized", "no"),
    ModelNotFound(404, "model_not_found", "There is no model x."),
    PictureNotAccepted(400, "invalid_picture", "Picture 2 is broken."),
    ContextTooLong(400, "context_length_exceeded", "x", {"prompt_tokens": 3000, "context_tokens": 2048}),
    ContextTooLong(400, "context_length_exceeded", "x"),
    DiskFull("There is no room left on the disk; free some."),
    ZeroDivisionError("x"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_every_fault_has_a_code_and_a_whole_sentence(fault: Exception) -> None:
    code, words = wording.split_reason(wording.reason_of(fault))
    assert code and " " not in code
    assert words[0].isupper() and words.endswith(".") and len(words.split()) >= 4


def test_causes_are_told_apart() -> None:
    told = [wording.sentence(each) for each in FAULTS]
    assert len(set(told)) == len(told)


def test_too_long_tells_the_tokens_and_the_limit() -> None:
    words = wording.sentence(FAULTS[12])
    assert "3,000" in words and "2,048" in words


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (WorkerState("starting"), "starting"),
        (WorkerState("loading", 0.4), "loading, 40%"),
        (WorkerState("ready"), "Ready"),
        (
            WorkerState("restarting", reason="it was killed", restart_in_seconds=4),
            "restarting in 4 s: it was killed",
        ),
        (WorkerState("failed", reason="config.json is missing"), "failed: config.json is missing"),
        (WorkerState("stopped"), "stopped"),
    ],
)
def test_the_state_of_the_worker_is_said_in_words(state: WorkerState, said: str) -> None:
    assert said in wording.worker_state(state)


def test_a_reason_without_a_code_is_shown_as_it_is() -> None:
    assert wording.split_reason("It broke: badly") == ("", "It broke: badly")
    assert wording.split_reason("died: It broke: badly") == ("died", "It broke: badly")


def test_out_of_memory_is_told_with_the_numbers_where_there_are_some() -> None:
    told = WorkerOutOfMemory(507, "out_of_memory", "No.", {"num_tokens": 1700, "num_pictures": 1})
    assert "memory at 1,700 tokens and 1 picture." in wording.sentence(told)
    assert "memory on this question." in wording.sentence(WorkerOutOfMemory(507, "out_of_memory", "No."))
