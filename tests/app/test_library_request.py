"""What the library's events may carry, and that nothing else passes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.library_request import LibraryRequest
from conversations.errors import InvalidFilters, InvalidText, LogError
from conversations.review import Place

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "filters",
        "after",
        "state",
        "tags",
        "text",
        "answers",
        "format",
        "selection",
        "several_pictures",
        "turn",
    ]
)


@given(st.dictionaries(NAMES, ANYTHING))
def test_whatever_a_browser_sends_is_a_value_or_a_refusal_in_a_sentence(data: dict[str, Any]) -> None:
    request = LibraryRequest(data)
    readers = (
        request.filters, request.place, request.state, request.tags, request.correction, request.answers,
        request.order,
    )  # fmt: skip
    for read in readers:
        try:
            read()
        except LogError as error:
            assert str(error).endswith(".")


def test_filters_come_as_the_log_knows_them() -> None:
    given = {"since": "2026-01-31T00:00:00.000Z", "has_picture": True, "rating": "down", "text": "red"}
    filters = LibraryRequest({"filters": given}).filters()
    assert filters.since == datetime(2026, 1, 31, tzinfo=UTC)
    assert (filters.has_picture, filters.rating, filters.text) == (True, "down", "red")


@pytest.mark.parametrize("name", ["filters", "selection"])
def test_nobody_narrows_to_a_person_since_that_would_show_what_they_keep_private(name: str) -> None:
    forged = {"owner": "user:ann"}
    data = {"format": "llava", "filters": forged, "selection": {"filters": forged}}
    with pytest.raises(InvalidText):
        LibraryRequest(data).filters() if name == "filters" else LibraryRequest(data).order()


def test_a_filter_that_there_is_not_is_named() -> None:
    with pytest.raises(InvalidFilters, match="ratign"):
        LibraryRequest({"filters": {"ratign": "up"}}).filters()


def test_an_order_has_the_format_and_the_selection() -> None:
    order = LibraryRequest(
        {
            "format": "parquet",
            "several_pictures": True,
            "selection": {
                "filters": {"corrected": True},
                "validation": 0.1,
                "seed": 7,
                "mask_personal_data": False,
            },
        }
    ).order()
    assert order.format.name == "parquet" and order.options.several_pictures
    assert (order.selection.validation, order.selection.seed) == (0.1, 7)
    assert order.selection.filters.corrected and not order.selection.mask_personal_data


def test_tags_stand_between_commas_and_a_place_has_a_zone() -> None:
    assert LibraryRequest({"tags": " a b, ,c "}).tags() == ["a b", "c"]
    at = "2026-01-31T10:00:00+00:00"
    assert LibraryRequest({"after": {"at": at, "id": 4}}).place() == Place(datetime.fromisoformat(at), 4)
    with pytest.raises(InvalidText):
        LibraryRequest({"after": {"at": "2026-01-31T10:00:00", "id": 4}}).place()
    with pytest.raises(InvalidText):
        LibraryRequest({"after": {"at": "9999-12-31T23:59:59-14:00", "id": 4}}).place()
