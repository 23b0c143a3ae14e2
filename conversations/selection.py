"""Which conversations are meant, and how they become a data set: one frozen description for the library's
filters, the export button and the command line.

It is stored with each export and read back with `from_json`, so that the same export can be made again. It has
no I/O. The filters mean the same everywhere:

- `since`, `until`, `tags`, `has_picture` and `text` are about a conversation; several tags all have to be there.
- `models`, `ratings`, `reasons`, `review_states`, `finish_reasons` and `corrected` are about an answer, and one
  answer has to meet all of them. A conversation is meant when one of its answers does.
- Within one filter that lists several values, any of them will do (tags aside). Empty, or None: not filtered.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

from conversations.errors import LogError
from conversations.turns import FinishReason, Rating

Reason = Literal["wrong", "made_up", "incomplete", "rude", "too_long", "other"]
"""Why an answer got its thumb."""

ReviewState = Literal["unreviewed", "approved", "rejected"]

Side = Literal["train", "validation", "test"]
"""On which side of the split an example lies."""

SIDES: tuple[Side, ...] = get_args(Side)

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "ratings": get_args(Rating),
    "reasons": get_args(Reason),
    "review_states": get_args(ReviewState),
    "finish_reasons": get_args(FinishReason),
}


class InvalidSelection(LogError, ValueError):
    """A selection that cannot be meant; the sentence names the field, its value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Raises InvalidSelection for values that cannot be meant. Lists are sorted and without doubles, so that
    two selections that mean the same are equal and are stored as the same bytes."""

    owner: str | None = None  # None: everyone's, which is the admin's to ask for
    since: datetime | None = None  # the conversation was last added to at this time or later (UTC)
    until: datetime | None = None  # ... or before this time
    models: tuple[str, ...] = ()
    ratings: tuple[Rating, ...] = ()
    reasons: tuple[Reason, ...] = ()
    tags: tuple[str, ...] = ()
    review_states: tuple[ReviewState, ...] = ()
    finish_reasons: tuple[FinishReason, ...] = ()
    has_picture: bool | None = None
    corrected: bool | None = None
    text: str = ""  # words that all occur in the conversation, as the search finds them
    validation: float = 0.0  # share of the pictures, from 0 to 1
    test: float = 0.0
    seed: int = 0  # another seed deals the pictures out anew
    mask_personal_data: bool = True

    def __post_init__(self) -> None:
        for name in ("models", "ratings", "reasons", "tags", "review_states", "finish_reasons"):
            values = getattr(self, name)
            if isinstance(values, str) or not all(isinstance(value, str) for value in values):
                raise InvalidSelection(f"{name} cannot be {values!r}; give a list of texts.")
            for value in values:
                if name in _CHOICES and value not in _CHOICES[name]:
                    raise InvalidSelection(f"{name} cannot be {value!r}; give {' or '.join(_CHOICES[name])}.")
            object.__setattr__(self, name, tuple(sorted(set(values))))
        for name in ("since", "until"):
            time = getattr(self, name)
            if time is not None:
                if not isinstance(time, datetime) or time.tzinfo is None:
                    raise InvalidSelection(f"{name} cannot be {time!r}; give a time with its time zone.")
                object.__setattr__(self, name, time.astimezone(UTC))
        for name in ("validation", "test"):
            share = getattr(self, name)
            if not isinstance(share, (int, float)) or not (math.isfinite(share) and 0 <= share <= 1):
                raise InvalidSelection(f"{name} cannot be {share!r}; give a share from 0 to 1.")
            object.__setattr__(self, name, float(share))
        if self.validation + self.test > 1:
            raise InvalidSelection(
                f"validation {self.validation} and test {self.test} together are more than 1; give smaller shares."
            )
        self._check_types()

    def _check_types(self) -> None:
        for name in ("has_picture", "corrected"):
            if getattr(self, name) not in (True, False, None):
                raise InvalidSelection(f"{name} cannot be {getattr(self, name)!r}; give true, false or null.")
        if not isinstance(self.mask_personal_data, bool):
            raise InvalidSelection(
                f"mask_personal_data cannot be {self.mask_personal_data!r}; give true or false."
            )
        if not isinstance(self.seed, int) or isinstance(self.seed, bool):
            raise InvalidSelection(f"seed cannot be {self.seed!r}; give a whole number.")
        if not isinstance(self.text, str):
            raise InvalidSelection(f"text cannot be {self.text!r}; give words.")
        if self.owner is not None and not isinstance(self.owner, str):
            raise InvalidSelection(f"owner cannot be {self.owner!r}; give a name or null.")

    @property
    def filters_answers(self) -> bool:
        """Whether an answer has to meet anything."""
        return bool(
            self.models
            or self.ratings
            or self.reasons
            or self.review_states
            or self.finish_reasons
            or self.corrected is not None
        )

    def side(self, key: str) -> Side:
        """On which side a picture (by its SHA-256) or a conversation without pictures (by its id) lies. It
        depends on nothing else but the seed and the shares, so data added later moves nothing."""
        digest = hashlib.sha256(f"{self.seed}:{key}".encode()).digest()
        place = int.from_bytes(digest[:8]) / 2**64
        if place < self.test:
            return "test"
        return "validation" if place < self.test + self.validation else "train"

    def as_dict(self) -> dict[str, Any]:
        """As JSON keeps it; times in UTC as ISO 8601."""
        values = asdict(self)
        for name in ("since", "until"):
            if values[name] is not None:
                values[name] = values[name].isoformat()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def to_json(self) -> str:
        """One line; equal selections give equal text."""
        return json.dumps(self.as_dict(), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_dict(cls, values: object) -> Selection:
        """Raises InvalidSelection; fields that are left out have their default."""
        if not isinstance(values, Mapping):
            raise InvalidSelection(f"A selection is a JSON object, not {type(values).__name__}.")
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise InvalidSelection(
                    f"A selection has no field {name!r}; the fields are {', '.join(sorted(known))}."
                )
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in cast("Mapping[str, Any]", values).items()
        }
        for name in ("since", "until"):
            if isinstance(given.get(name), str):
                try:
                    given[name] = datetime.fromisoformat(given[name])
                except ValueError as error:
                    raise InvalidSelection(
                        f"{name} cannot be {given[name]!r}; give a time such as 2026-05-01T00:00:00+00:00."
                    ) from error
        try:
            return cls(**given)
        except TypeError as error:
            raise InvalidSelection(f"This is no selection: {error}.") from error

    @classmethod
    def from_json(cls, text: str) -> Selection:
        """Raises InvalidSelection."""
        try:
            return cls.from_dict(json.loads(text))
        except (json.JSONDecodeError, RecursionError) as error:
            raise InvalidSelection(f"The selection is no JSON: {error}.") from error
