"""A selection is checked when it is made, and what is stored of it makes the same one again."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.selection import InvalidSelection, Selection

times = (
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))
    | st.none()
)
selections = st.builds(
    Selection,
    owner=st.none() | st.text(max_size=8),
    since=times,
    until=times,
    models=st.lists(st.text(max_size=8), max_size=3).map(tuple),
    ratings=st.lists(st.sampled_from(["up", "down"])).map(tuple),
    reasons=st.lists(st.sampled_from(["wrong", "rude"]), max_size=3).map(tuple),
    tags=st.lists(st.text(max_size=8), max_size=3).map(tuple),
    review_states=st.lists(st.sampled_from(["approved", "rejected", "unreviewed"]), max_size=3).map(tuple),
    finish_reasons=st.lists(st.sampled_from(["stop", "failed"]), max_size=2).map(tuple),
    has_picture=st.none() | st.booleans(),
    corrected=st.none() | st.booleans(),
    text=st.text(max_size=8),
    validation=st.floats(0, 0.5),
    test=st.floats(0, 0.5),
    seed=st.integers(-(2**40), 2**40),
    mask_personal_data=st.booleans(),
)


@given(selections)
def test_a_stored_selection_is_the_same_one_again(selection: Selection) -> None:
    again = Selection.from_json(selection.to_json())
    assert again == selection
    assert again.to_json() == selection.to_json()


def test_selections_that_mean_the_same_are_stored_as_the_same_bytes() -> None:
    east = timezone(timedelta(hours=2))
    one = Selection(tags=("b", "a", "b"), since=datetime(2026, 5, 1, 2, tzinfo=east), test=0)
    other = Selection(tags=("a", "b"), since=datetime(2026, 5, 1, tzinfo=UTC), test=0.0)
    assert one.to_json() == other.to_json()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"ratings": ["sideways"]}, "'sideways'; give up or down"),
        ({"reasons": "wrong"}, "reasons cannot be 'wrong'; give a list"),
        ({"review_states": ["done"]}, "unreviewed or approved or rejected"),
        ({"finish_reasons": [3]}, "finish_reasons"),
        ({"since": "yesterday"}, "since cannot be 'yesterday'"),
        ({"since": "2026-05-01T00:00:00"}, "with its time zone"),
        ({"validation": 1.5}, "validation cannot be 1.5"),
        ({"test": float("nan")}, "test cannot be nan"),
        ({"validation": 0.6, "test": 0.6}, "together are more than 1"),
        ({"seed": "7"}, "seed cannot be '7'"),
        ({"seed": True}, "seed cannot be True"),
        ({"has_picture": "yes"}, "has_picture cannot be 'yes'"),
        ({"mask_personal_data": None}, "mask_personal_data cannot be None"),
        ({"text": 3}, "text cannot be 3"),
        ({"colour": "red"}, "no field 'colour'; the fields are"),
        ([], "a JSON object, not list"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(values: Any, named: str) -> None:
    with pytest.raises(InvalidSelection) as caught:
        Selection.from_dict(values)
    assert named in str(caught.value)


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
    small, large = Selection(test=0.1, seed=1), Selection(test=0.3, seed=1)
    keys = [f"{number:064x}" for number in range(500)]
    assert {key for key in keys if small.side(key) == "test"} < {
        key for key in keys if large.side(key) == "test"
    }


def test_json_is_what_other_programs_read() -> None:
    stored = json.loads(Selection(until=datetime(2026, 5, 1, tzinfo=UTC), tags=("café",)).to_json())
    assert stored["until"] == "2026-05-01T00:00:00+00:00"
    assert stored["tags"] == ["café"]


EXPECTED_SIDES = [*["train"] * 3, "test", *["train"] * 5, *["validation"] * 3]
