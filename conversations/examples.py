"""What is exported: frozen values between the log and the formats, without I/O.

The log gives a `LoggedConversation`, with every version of every turn and what people said about them.
`conversations/export.py` makes of it an `Example`, a `Preference` or a `Verdict`, or says why not. A format in
`conversations/formats/` writes those and reads them back, and knows nothing of the log.
"""

from __future__ import annotations

from dataclasses import dataclass

from conversations.filters import ReviewState
from conversations.messages import ImageRef, Message, Role
from conversations.turns import FinishReason, Rating


@dataclass(frozen=True, slots=True)
class LoggedTurn:
    """A question or an answer as the log holds it. `masked_*` is the text with personal data masked, None
    where that changes nothing."""

    id: int
    parent_id: int | None
    role: Role
    text: str
    images: tuple[str, ...] = ()  # SHA-256 of each, in order
    is_shown: bool = True
    masked_text: str | None = None
    # what follows is an answer's
    finish_reason: FinishReason | None = None
    system_prompt: str = ""  # "" means the template's own
    rating: Rating | None = None
    review_state: ReviewState = "pending"
    correction: str | None = None
    masked_correction: str | None = None
    is_meant: bool = True  # whether it meets the selection's filters


@dataclass(frozen=True, slots=True)
class LoggedConversation:
    """A conversation with the turns of all its branches; a parent's id is below its children's."""

    id: str
    turns: tuple[LoggedTurn, ...]
    is_private: bool = False


def _pictures(messages: tuple[Message, ...]) -> tuple[str, ...]:
    return tuple(
        [part.sha256 for message in messages for part in message.content if isinstance(part, ImageRef)]
    )


@dataclass(frozen=True, slots=True)
class Example:
    """What a model learns: questions and answers in turn, the first a question, the last an answer. `system`
    "" means none."""

    id: str
    messages: tuple[Message, ...]
    system: str = ""

    @property
    def pictures(self) -> tuple[str, ...]:
        """The SHA-256 of every picture's place, in order; one that stands twice comes twice."""
        return _pictures(self.messages)


@dataclass(frozen=True, slots=True)
class Preference:
    """Of two answers to the same conversation the better one. `prompt` ends with the question."""

    id: str
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    system: str = ""

    @property
    def pictures(self) -> tuple[str, ...]:
        return _pictures(self.prompt)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer and whether it is wanted (KTO). `prompt` ends with the question."""

    id: str
    prompt: tuple[Message, ...]
    completion: str
    wanted: bool
    system: str = ""

    @property
    def pictures(self) -> tuple[str, ...]:
        return _pictures(self.prompt)


Item = Example | Preference | Verdict
"""What a row of a data set holds."""
