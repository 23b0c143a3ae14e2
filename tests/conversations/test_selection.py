"""A selection is checked when it is made, and what is stored of it makes the same one again."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.errors import InvalidFilters
from conversations.filters import Filters
from conversations.selection import InvalidSelection, Selection

EXPECTED_SIDES = [*["train"] * 3, "test", *["train"] * 5, *["validation"] * 3]

filters = st.builds(
    Filters,
    owner=st.none() | st.text(max_size=8),
    since=st.none() | st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),
    rating=st.sampled_from([None, "up", "down", "none"]),
    tag=st.none() | st.text(max_size=8),
    has_picture=st.none() | st.booleans(),
    text=st.text(max_size=8),
)
selections = st.builds(
    Selection,
    filters=filters,
    validation=st.floats(0, 0.5),
    test=st.floats(0, 0.5),
    seed=st.integers(-(2**40), 2**40),
    mask_personal_data=st.booleans(),
    last_turn=st.none() | st.integers(0, 2**40),
)


@given(selections)
def test_a_stored_selection_is_the_same_one_again(selection: Selection) -> None:
    again = Selection.from_json(selection.to_json())
    assert again.to_json() == selection.to_json()
    assert (again.validation, again.test, again.seed) == (
        selection.validation,
        selection.test,
        selection.seed,
    )
    assert again.mask_personal_data is selection.mask_personal_data
    assert again.last_turn == selection.last_turn
    assert again.filters.to_json() == selection.filters.to_json()


def test_whole_shares_are_stored_as_the_same_bytes_as_fractions() -> None:
    assert Selection(test=0).to_json() == Selection(test=0.0).to_json()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"validation": 1.5}, "validation cannot be 1.5"),
        ({"validation": True}, "validation cannot be True"),
        ({"test": float("nan")}, "test cannot be nan"),
        ({"test": "half"}, "test cannot be 'half'"),
        ({"validation": 0.6, "test": 0.6}, "together are more than 1"),
        ({"seed": "7"}, "seed cannot be '7'"),
        ({"seed": True}, "seed cannot be True"),
        ({"last_turn": "7"}, "last_turn cannot be '7'"),
        ({"mask_personal_data": None}, "mask_personal_data cannot be None"),
        ({"filters": ["up"]}, "filters cannot be ['up']"),
        ({"colour": "red"}, "no field 'colour'; the fields are"),
        ([], "a JSON object, not []"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(values: Any, named: str) -> None:
    with pytest.raises(InvalidSelection) as caught:
        Selection.from_dict(values)
    assert named in str(caught.value)


def test_a_filter_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(InvalidFilters, match="sideways"):
        Selection.from_dict({"filters": {"rating": "sideways"}})


@pytest.mark.parametrize("text", ["{", "[" * 100_000, ""])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidSelection, match="no JSON"):
        Selection.from_json(text)


def test_the_split_has_about_the_shares_asked_for() -> None:
    selection = Selection(validation=0.1, test=0.2, seed=3)
    counts = Counter(selection.side(f"{number:064x}") for number in range(20_000))
    # a binomial's standard deviation is under 60 here; four of them
    assert abs(counts["test"] - 4000) < 240
    assert abs(counts["validation"] - 2000) < 240


def test_a_picture_keeps_its_side_for_ever() -> None:
    """The places are part of the format: a change here would move pictures between training and test."""
    selection = Selection(validation=0.25, test=0.25, seed=7)
    assert [selection.side(f"{number:064x}") for number in range(12)] == EXPECTED_SIDES
    assert [Selection(seed=7).side(f"{number:064x}") for number in range(12)] == ["train"] * 12


def test_a_larger_test_share_only_adds_to_the_test_side() -> None:
    keys = [f"{number:064x}" for number in range(500)]
    small, large = (
        {key for key in keys if Selection(test=share, seed=1).side(key) == "test"} for share in (0.1, 0.3)
    )
    assert small < large


def test_json_is_what_other_programs_read() -> None:
    selection = Selection(Filters(until=datetime(2026, 5, 1, tzinfo=UTC), tag="café"), test=0.5)
    assert json.loads(selection.to_json()) == {
        "filters": {"until": "2026-05-01T00:00:00+00:00", "tag": "café"},
        "last_turn": None,
        "mask_personal_data": True,
        "seed": 0,
        "test": 0.5,
        "validation": 0.0,
    }
