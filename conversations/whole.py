"""A conversation as it goes into the log in one piece, with all its versions: what an import makes of a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from conversations.messages import ImageRef, Role
from conversations.reasons import Reason
from conversations.turns import AnswerDetails, Rating, ReviewState

UNKNOWN_ANSWER = AnswerDetails(
    model="",
    template="",
    system_prompt="",
    temperature=0.0,
    top_p=1.0,
    max_new_tokens=1,
    seed=None,
    finish_reason="stop",
    error=None,
    num_prompt_tokens=None,
    num_completion_tokens=None,
    first_token_ms=None,
    duration_ms=None,
)
"""Of an answer from elsewhere, of which nothing is known but its text."""


@dataclass(frozen=True, slots=True)
class WholeTurn:
    """`parent` is the place of an earlier turn in the same conversation, None at the root; a question's is an
    answer and an answer's a question. Pictures are stored already (`images.add`) and are a question's only. `state`
    and `tags` are a reviewer's on an answer; what comes as approved is kept as pending, since a file may say
    anything and what is approved is exported."""

    parent: int | None
    role: Role
    text: str
    images: tuple[ImageRef, ...] = ()
    created_at: datetime | None = None
    is_shown: bool = True
    answer: AnswerDetails = UNKNOWN_ANSWER
    rating: Rating | None = None
    reasons: tuple[Reason, ...] = ()
    note: str = ""
    correction: str | None = None
    state: ReviewState = "pending"
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WholeConversation:
    """`title` "" means one made from the first question; `created_at` None means now."""

    turns: tuple[WholeTurn, ...]
    title: str = ""
    system_prompt: str = ""
    created_at: datetime | None = None
    tags: tuple[str, ...] = ()
    is_pinned: bool = False
    is_archived: bool = False
    is_private: bool = False
