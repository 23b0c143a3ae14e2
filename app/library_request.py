"""What a browser sent from the library, read with the same suspicion as everything else: filters, places in the queue,
sets of answers and descriptions of an export, each checked before anything is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, get_args

from app import wording
from app.browser_event import MAX_TURN_ID, BrowserEvent
from conversations.errors import InvalidText
from conversations.filters import Filters, ReviewState
from conversations.formats import FORMATS
from conversations.formats.format import Format, Options
from conversations.manifest import Manifest
from conversations.moments import has_utc
from conversations.reasons import REASONS, Reason
from conversations.review import Place
from conversations.selection import Selection
from conversations.turns import Rating

MAX_GROUP = 20_000
"""Answers of one group of near-duplicates: as many as are compared."""


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """What is to be exported, and how it is written; `before` is the export that is made again."""

    format: Format
    options: Options
    selection: Selection
    before: Manifest | None = None


class LibraryRequest(BrowserEvent):
    """The data of one event of the library."""

    def has(self, name: str) -> bool:
        return self._data.get(name) is not None

    def mapping(self, name: str) -> Mapping[str, Any]:
        value = self._data.get(name, {})
        if not isinstance(value, Mapping):
            raise InvalidText(wording.FORGED)
        return value

    def filters(self) -> Filters:
        """Raises InvalidFilters. Nobody narrows to an owner: that would bring in what this person keeps private."""
        return _without_owner(Filters.from_json(self.mapping("filters")))

    def place(self) -> Place | None:
        """Below which item the next page begins; None: from the top."""
        if not self.has("after"):
            return None
        after = LibraryRequest(self._data["after"])
        try:
            moment = datetime.fromisoformat(after.text("at", 40))
        except ValueError as error:
            raise InvalidText(wording.FORGED) from error
        if moment.tzinfo is None or not has_utc(moment):
            raise InvalidText(wording.FORGED)
        return Place(moment, after.turn("id"))

    def state(self) -> ReviewState:
        value = self.text("state", 20)
        for state in get_args(ReviewState):
            if value == state:
                return state
        raise InvalidText(wording.FORGED)

    def rating(self) -> Rating | None:
        """ "" takes it back."""
        value = self.text("rating", 20)
        for rating in get_args(Rating):
            if value == rating:
                return rating
        if value:
            raise InvalidText(wording.FORGED)
        return None

    def reasons(self) -> tuple[Reason, ...]:
        """In the order in which they are kept."""
        reasons = self.texts("reasons", len(REASONS), "reasons")
        if not set(reasons) <= set(REASONS):
            raise InvalidText(wording.FORGED)
        return tuple(reason for reason in REASONS if reason in reasons)

    def tags(self) -> list[str]:
        """As they were typed, between commas."""
        return [tag.strip() for tag in self.text("tags", 4000).split(",") if tag.strip()]

    def correction(self) -> str | None:
        """None takes it back."""
        return self.text("text", 200_000) if self.has("text") else None

    def answers(self) -> list[int]:
        value = self._data.get("answers")
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_GROUP:
            raise InvalidText(wording.FORGED)
        if not all(type(each) is int and 0 <= each <= MAX_TURN_ID for each in value):
            raise InvalidText(wording.FORGED)
        return value

    def order(self) -> ExportOrder:
        """Raises InvalidSelection, InvalidFilters."""
        format = FORMATS.get(self.text("format", 40))
        if format is None:
            raise InvalidText(wording.FORGED)
        selection = Selection.from_dict(self.mapping("selection"))
        selection = replace(selection, filters=_without_owner(selection.filters))
        return ExportOrder(format, Options(self.flag("several_pictures")), selection)


def _without_owner(filters: Filters) -> Filters:
    if filters.owner is not None:
        raise InvalidText(wording.FORGED)
    return filters
