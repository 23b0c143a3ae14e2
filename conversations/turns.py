"""What the log hands out: frozen values of conversations, turns and answers, without I/O and without a
database.

A conversation is a tree of turns. Turns under the same parent are versions of each other: a retried answer
stands beside the first one, an edited question beside the question as it was. One of them is shown. Times are
UTC.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from conversations.errors import InvalidSettings
from conversations.messages import ImageRef, Message, Role
from conversations.reasons import Reason
from conversations.search_words import Snippet, Span

FinishReason = Literal["running", "stop", "length", "stopped", "failed", "interrupted"]
"""stop: the model ended; length: the token limit; stopped: by the person; interrupted: the page died or was
left."""

Rating = Literal["up", "down"]

ReviewState = Literal["pending", "approved", "rejected"]
"""What a reviewer decided about an answer. A model's fresh answer is pending."""

MAX_TEMPLATE_LENGTH = 100


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """With what an answer is asked for. `seed` None means that none was fixed. Raises InvalidSettings."""

    model: str
    template: str
    system_prompt: str
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int | None = None

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and 0 <= self.temperature <= sys.float_info.max):
            raise _invalid("temperature", self.temperature, "a number from 0")
        if not (_is_number(self.top_p) and 0 < self.top_p <= 1):
            raise _invalid("top-p", self.top_p, "a number above 0 and up to 1")
        if not (isinstance(self.max_new_tokens, int) and 1 <= self.max_new_tokens < 2**31):
            raise _invalid("max new tokens", self.max_new_tokens, f"a whole number from 1 to {2**31 - 1}")
        if self.seed is not None and not (isinstance(self.seed, int) and 0 <= self.seed < 2**63):
            raise _invalid("seed", self.seed, f"a whole number from 0 to {2**63 - 1}, or none")
        if len(self.template) > MAX_TEMPLATE_LENGTH:
            raise _invalid("template", self.template, f"a name of at most {MAX_TEMPLATE_LENGTH} characters")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def _invalid(name: str, value: object, allowed: str) -> InvalidSettings:
    shown = repr(value)
    shown = shown if len(shown) <= 40 else f"{shown[:40]}…"
    return InvalidSettings(f"The {name} cannot be {shown}; give {allowed}.")


@dataclass(frozen=True, slots=True)
class AnswerOutcome:
    """How an answer ended: its whole text, and why it ended. None where it is not known."""

    text: str
    finish_reason: FinishReason
    error: str | None = None
    num_prompt_tokens: int | None = None
    num_completion_tokens: int | None = None
    first_token_ms: float | None = None
    duration_ms: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerDetails:
    """Settings and outcome of an answer; its text is the turn's."""

    model: str
    template: str
    system_prompt: str
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int | None
    finish_reason: FinishReason
    error: str | None
    num_prompt_tokens: int | None
    num_completion_tokens: int | None
    first_token_ms: float | None
    duration_ms: float | None

    @property
    def settings(self) -> AnswerSettings:
        """What a retry with the same settings needs."""
        return AnswerSettings(
            self.model,
            self.template,
            self.system_prompt,
            self.temperature,
            self.top_p,
            self.max_new_tokens,
            self.seed,
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """A question or an answer. `version` counts from 1 among the `num_versions` turns under the same
    parent. `correction` is what somebody wrote that the answer should have been; `text` stays as it was."""

    id: int
    conversation_id: str
    parent_id: int | None
    role: Role
    text: str
    images: tuple[ImageRef, ...]
    created_at: datetime
    version: int = 1
    num_versions: int = 1
    rating: Rating | None = None
    answer: AnswerDetails | None = None
    reasons: tuple[Reason, ...] = ()
    note: str = ""
    correction: str | None = None
    state: ReviewState | None = None

    @property
    def message(self) -> Message:
        """The turn as the template reads it: pictures first, then the text."""
        return Message(self.role, (*self.images, self.text) if self.text else self.images)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation with the turns that are shown, from the first question to the last turn of the shown
    branch."""

    id: str
    title: str
    system_prompt: str
    created_at: datetime
    updated_at: datetime
    shown: tuple[Turn, ...] = ()
    is_pinned: bool = False
    is_archived: bool = False
    is_private: bool = False
    tags: tuple[str, ...] = ()

    @property
    def last_answer_id(self) -> int | None:
        """Under which turn the next question belongs. A last question that has no answer, after a crash, is
        passed over: the next one becomes another version of it."""
        return next((turn.id for turn in reversed(self.shown) if turn.role == "assistant"), None)


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A line of the sidebar. `hit` is where a search found its words, and `hit_turn_id` the turn that it is cut
    from; a hit in the title alone is highlighted there."""

    id: str
    title: str
    updated_at: datetime
    is_pinned: bool = False
    is_archived: bool = False
    is_private: bool = False
    tags: tuple[str, ...] = ()
    title_hits: tuple[Span, ...] = ()
    hit: Snippet | None = None
    hit_turn_id: int | None = None
