"""Which answers are meant, and how they become a data set: one frozen description for the export button and the
command line.

It is stored with each export and read back with `from_json`, so that the same export can be made again. It has
no I/O.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast, get_args

from conversations.errors import LogError
from conversations.filters import Filters

Side = Literal["train", "validation", "test"]
"""On which side of the split an example lies."""

SIDES: tuple[Side, ...] = get_args(Side)


class InvalidSelection(LogError, ValueError):
    """A selection that cannot be meant; the sentence names the field, its value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Raises InvalidSelection for values that cannot be meant."""

    filters: Filters = field(default_factory=Filters)
    validation: float = 0.0  # share of the pictures, from 0 to 1
    test: float = 0.0
    seed: int = 0  # another seed deals the pictures out anew
    mask_personal_data: bool = True
    last_turn: int | None = None  # turns with a higher id came later and are not there; None: all are

    def __post_init__(self) -> None:
        if not isinstance(self.filters, Filters):
            raise InvalidSelection(f"filters cannot be {_short(self.filters)}; give an object of filters.")
        for name in ("validation", "test"):
            share = getattr(self, name)
            if not isinstance(share, (int, float)) or isinstance(share, bool) or not math.isfinite(share):
                raise InvalidSelection(f"{name} cannot be {_short(share)}; give a share from 0 to 1.")
            if not 0 <= share <= 1:
                raise InvalidSelection(f"{name} cannot be {share}; give a share from 0 to 1.")
            object.__setattr__(self, name, float(share))
        if self.validation + self.test > 1:
            raise InvalidSelection(
                f"validation {self.validation} and test {self.test} together are more than 1; give smaller shares."
            )
        if not isinstance(self.seed, int) or isinstance(self.seed, bool):
            raise InvalidSelection(f"seed cannot be {_short(self.seed)}; give a whole number.")
        if self.last_turn is not None and (
            not isinstance(self.last_turn, int) or isinstance(self.last_turn, bool)
        ):
            raise InvalidSelection(
                f"last_turn cannot be {_short(self.last_turn)}; give a turn's number or null."
            )
        if not isinstance(self.mask_personal_data, bool):
            raise InvalidSelection(
                f"mask_personal_data cannot be {_short(self.mask_personal_data)}; give true or false."
            )

    def side(self, key: str) -> Side:
        """On which side a picture (by its SHA-256) or a conversation without pictures (by its id) lies. It
        depends on nothing else but the seed and the shares, so data added later moves nothing."""
        digest = hashlib.sha256(f"{self.seed}:{key}".encode()).digest()
        place = int.from_bytes(digest[:8]) / 2**64
        if place < self.test:
            return "test"
        return "validation" if place < self.test + self.validation else "train"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; of the filters those that narrow."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "filters": self.filters.to_json()}

    def to_json(self) -> str:
        """One line; equal selections give equal text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_dict(cls, values: object) -> Selection:
        """Raises InvalidSelection, InvalidFilters; fields that are left out have their default."""
        if not isinstance(values, Mapping):
            raise InvalidSelection(f"A selection is a JSON object, not {_short(values)}.")
        given = dict(cast("Mapping[str, Any]", values))
        known = {each.name for each in fields(cls)}
        for name in given:
            if name not in known:
                raise InvalidSelection(
                    f"A selection has no field {_short(name)}; the fields are {', '.join(sorted(known))}."
                )
        if "filters" in given:
            if not isinstance(given["filters"], Mapping):
                raise InvalidSelection(
                    f"filters cannot be {_short(given['filters'])}; give an object of filters."
                )
            given["filters"] = Filters.from_json(given["filters"])
        return cls(**given)

    @classmethod
    def from_json(cls, text: str) -> Selection:
        """Raises InvalidSelection, InvalidFilters."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidSelection(f"The selection is no JSON: {error}.") from error
        return cls.from_dict(values)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
