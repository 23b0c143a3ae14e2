"""Which answers somebody means: the one description that the library, bulk actions and exports share.

It is plain values that go into JSON and come back the same, since an export stores it beside what it exported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, get_args

from conversations.errors import InvalidFilters
from conversations.moments import has_utc, moment_of
from conversations.reasons import REASONS, Reason
from conversations.turns import FinishReason, Rating, ReviewState

__all__ = ["REASONS", "Filters", "Reason", "ReviewState"]

MAX_FILTER_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """Every field narrows; one that is None (or empty) does not. Raises InvalidFilters.

    `since` is inclusive and `until` exclusive, both with a time zone. `rating` "none" means answers that nobody
    rated. `tag` is one of the answer or of its conversation. `text` is words, each of which begins a word of the
    answer, its correction or its question. `owner` narrows to one person's own."""

    owner: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    model: str | None = None
    rating: Rating | Literal["none"] | None = None
    reason: Reason | None = None
    tag: str | None = None
    state: ReviewState | None = None
    finish_reason: FinishReason | None = None
    has_picture: bool | None = None
    corrected: bool | None = None
    text: str = ""

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None and (allowed := check(value)) is not None:
                raise InvalidFilters(f"The filter {name} cannot be {_short(value)}; give {allowed}.")

    def to_json(self) -> dict[str, Any]:
        """The fields that narrow, as JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in values.items()
            if value is not None and value != ""
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Filters:
        """What `to_json` gave, or what somebody wrote by hand. Raises InvalidFilters, which names the field."""
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise InvalidFilters(
                    f"There is no filter {_short(name)}; there are {', '.join(sorted(known))}."
                )
        times = {
            name: _time(name, values[name]) for name in ("since", "until") if values.get(name) is not None
        }
        return cls(**{**values, **times})


def _time(name: str, value: object) -> datetime:
    """A day begins at midnight UTC, and a time without a zone is in UTC."""
    if isinstance(value, datetime):
        return value
    try:
        moment = moment_of(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise InvalidFilters(f"The filter {name} cannot be {_short(value)}; give {_A_TIME}.")
    return moment


_A_TIME = "a day or a time like 2026-01-31 or 2026-01-31T12:00:00+00:00"


def _one_of(*allowed: str) -> Callable[[object], str | None]:
    return lambda value: None if value in allowed else f"one of {', '.join(allowed)}"


def _words(value: object) -> str | None:
    short = isinstance(value, str) and len(value) <= MAX_FILTER_LENGTH
    return None if short else f"a text of at most {MAX_FILTER_LENGTH} characters"


def _a_time(value: object) -> str | None:
    right = isinstance(value, datetime) and value.tzinfo is not None and has_utc(value)
    return None if right else _A_TIME


def _yes_or_no(value: object) -> str | None:
    return None if isinstance(value, bool) else "true or false"


_CHECKS: Mapping[str, Callable[[object], str | None]] = {
    "owner": _words,
    "since": _a_time,
    "until": _a_time,
    "model": _words,
    "rating": _one_of("up", "down", "none"),
    "reason": _one_of(*REASONS),
    "tag": _words,
    "state": _one_of(*get_args(ReviewState)),
    "finish_reason": _one_of(*get_args(FinishReason)),
    "has_picture": _yes_or_no,
    "corrected": _yes_or_no,
    "text": _words,
}


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
