"""What a browser sent with an event, read with suspicion: each value has the type and bounds it must have, or it is
refused as something that the page would never send."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app import wording
from app.turns import Choices
from conversations.errors import InvalidText

MAX_TURN_ID = 2**63 - 1
MAX_TEXT = 2_000_000
"""Characters of one message: far beyond any context, so that the worker is the one to say how much is too much."""

_WHOLE = re.compile(r"[+-]?[0-9]+")


class BrowserEvent:
    """The data of one event."""

    def __init__(self, data: object) -> None:
        if not isinstance(data, Mapping):
            raise InvalidText(wording.FORGED)
        self._data: Mapping[str, Any] = data

    def text(self, name: str, longest: int = 200) -> str:
        value = self._data.get(name, "")
        if not isinstance(value, str):
            raise InvalidText(wording.FORGED)
        if len(value) > longest:
            raise InvalidText(
                f"This is too long: {len(value):,} characters, where at most {longest:,} can be sent."
            )
        return value

    def id(self, name: str) -> str | None:
        """A conversation's id; None for a new one. Whether it exists, and whose it is, the store knows."""
        return None if self._data.get(name) is None else self.text(name, 64)

    def turn(self, name: str = "turn") -> int:
        value = self._data.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_TURN_ID:
            raise InvalidText(wording.FORGED)
        return value

    def step(self) -> int:
        value = self._data.get("step")
        if value not in (-1, 1):
            raise InvalidText(wording.FORGED)
        return int(value)

    def count(self, name: str, least: int, most: int) -> int:
        """How many of something are wanted: `least` where nothing is said."""
        value = self._data.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidText(wording.FORGED)
        return min(max(value, least), most)

    def flag(self, name: str) -> bool:
        return self._data.get(name) is True

    def has(self, name: str) -> bool:
        return name in self._data

    def texts(self, name: str, most: int, what: str = "pictures", *, longest: int = MAX_TEXT) -> list[str]:
        value = self._data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise InvalidText(wording.FORGED)
        if len(value) > most:
            raise InvalidText(f"A message carries at most {most} {what}; this one has {len(value)}.")
        if any(len(each) > longest for each in value):
            raise InvalidText(f"One of the {what} is too long: at most {longest:,} characters can be sent.")
        return value

    def choices(self) -> Choices:
        """The drawer's fields, which a browser sends as text."""
        fields = self._data.get("choices", {})
        if not isinstance(fields, Mapping):
            raise InvalidText(wording.FORGED)
        inner = BrowserEvent(fields)
        return Choices(
            model=inner.text("model"),
            system_prompt=inner.text("system_prompt", MAX_TEXT),
            temperature=inner._number("temperature", Choices.temperature, "The temperature") or 0.0,
            top_p=inner._number("top_p", Choices.top_p, "Top-p") or 0.0,
            max_new_tokens=inner._whole("max_new_tokens", Choices.max_new_tokens, "The longest answer") or 0,
            seed=inner._whole("seed", None, "The seed"),
            drop_oldest=self.flag("drop_oldest"),
        )

    def _whole(self, name: str, usual: int | None, what: str) -> int | None:
        """Never by way of a float: beyond 2**53 that is another number."""
        value = self.text(name, 40).strip()
        if not value:
            return usual
        if not _WHOLE.fullmatch(value):
            raise InvalidText(f"{what} is a whole number, not {value!r}; set it again in the settings.")
        return int(value)

    def _number(self, name: str, usual: float | None, what: str) -> float | None:
        value = self.text(name, 40).strip()
        if not value:
            return usual
        try:
            number = float(value)
        except ValueError as error:
            raise InvalidText(f"{what} is a number, not {value!r}; set it again in the settings.") from error
        if not -1e18 < number < 1e18:  # also refuses what is not a number
            raise InvalidText(f"{what} cannot be {value}; set it again in the settings.")
        return number
