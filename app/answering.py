"""One answer in the making: its text so far, when it is shown and saved, and how it ended.

Pieces are joined to about twelve updates a second: more cost the browser work that nobody sees.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from app import wording
from app.worker_client import Finished, Phase, Piece, WorkerEvent
from conversations.errors import NotFound
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome, FinishReason, Turn

SECONDS_BETWEEN_SAVES = 1.0


@dataclass(frozen=True, slots=True)
class Update:
    """The turn as it stands. `phase` is in words, "" while text comes; `ended` is why it ended, None before."""

    conversation_id: str
    question_id: int
    answer_id: int
    text: str = ""
    phase: str = ""
    note: str = ""
    ended: FinishReason | None = None


class Answering:
    """One answer in the making: its text so far, when it is shown and saved, and how it ended."""

    def __init__(self, store: ConversationStore, question: Turn, answer_id: int, pause: float) -> None:
        self.question = question
        self.answer_id = answer_id
        self.stop = threading.Event()
        self.num_turns = 1
        self.num_left_out = 0
        self._store = store
        self._pause = pause
        self._began = time.monotonic()
        self._outcome = AnswerOutcome("", "running")
        self._saved_at = self._began

    def update(self, phase: str = "") -> Update:
        ended = self._outcome.finish_reason
        note = wording.left_out(self.num_left_out) if self.num_left_out else ""
        return Update(
            self.question.conversation_id,
            self.question.id,
            self.answer_id,
            self._outcome.text,
            phase,
            note,
            None if ended == "running" else ended,
        )

    def end(self, reason: FinishReason, error: str | None = None) -> None:
        if self._outcome.finish_reason == "running":
            self._outcome = replace(
                self._outcome, finish_reason=reason, error=error, duration_ms=self._elapsed_ms()
            )

    def save_end(self) -> None:
        """Write the end into the log; an answer that nobody ended was broken off."""
        self.end("failed", wording.broken_off(None))
        try:
            self._store.finish_answer(self.answer_id, self._outcome)
        except NotFound:  # its conversation was deleted while it was being written
            return

    def listen(self, events: Iterator[WorkerEvent]) -> Iterator[Update]:
        """Join pieces to updates, save now and then, and end with the worker, or when it is stopped."""
        shown_at, unshown, phase = 0.0, False, ""
        with closing(events):  # type: ignore[type-var]
            for event in events:
                if self.stop.is_set():
                    self.end("stopped")
                    return
                if isinstance(event, Finished):
                    self._finish(event)
                    return
                if isinstance(event, Piece):
                    self._append(event.text)
                    unshown, phase = True, ""
                elif isinstance(event, Phase):
                    said = phase_in_words(event, self.question) if not self._outcome.text else ""
                    unshown, phase = unshown or said != phase, said
                now = time.monotonic()
                # A heartbeat is shown too: only while it yields can a reader who left be noticed.
                if (unshown and now - shown_at >= self._pause) or now - shown_at >= 0.25:
                    shown_at, unshown = now, False
                    yield self.update(phase)
                if not self._save_now_and_then(now):
                    self.end("stopped")
                    return
        self.end("failed", "died: The model's answer ended without an end. Press Retry.")

    def _append(self, text: str) -> None:
        first = self._outcome.first_token_ms
        self._outcome = replace(
            self._outcome,
            text=self._outcome.text + text,
            first_token_ms=self._elapsed_ms() if first is None else first,
        )

    def _finish(self, event: Finished) -> None:
        self._outcome = replace(
            self._outcome,
            num_prompt_tokens=event.num_prompt_tokens,
            num_completion_tokens=event.num_completion_tokens,
        )
        self.end(event.reason)

    def _save_now_and_then(self, now: float) -> bool:
        if now - self._saved_at < SECONDS_BETWEEN_SAVES:
            return True
        self._saved_at = now
        return self._store.save_partial(self.answer_id, self._outcome.text)

    def _elapsed_ms(self) -> float:
        return (time.monotonic() - self._began) * 1000


def phase_in_words(phase: Phase, question: Turn) -> str:
    if phase.phase == "queued":
        return f"Queued at position {phase.position}" if phase.position else "Queued"
    if phase.phase == "answering":
        return "Answering"
    num_pictures = len(question.images)
    what = "question" if num_pictures == 0 else ("picture" if num_pictures == 1 else "pictures")
    return f"Reading the {what}"
