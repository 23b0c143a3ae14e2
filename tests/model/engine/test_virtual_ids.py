"""Pictures as ids: equal pictures give equal ids, different ones never do, and the count must be right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.engine.virtual_ids import PictureCountError, PictureSpan, VirtualIds

IMAGE = 5
P = 3


def prompt_of(parts: list[str | int]) -> tuple[list[int], list[str]]:
    """Numbers are text tokens, letters pictures."""
    ids: list[int] = []
    for part in parts:
        ids += [IMAGE] * P if isinstance(part, str) else [part]
    return ids, [part for part in parts if isinstance(part, str)]


PARTS = st.lists(st.one_of(st.sampled_from("abcd"), st.integers(0, 4)), max_size=12)


@given(st.lists(PARTS, min_size=2, max_size=6))
def test_prompts_are_equal_exactly_as_far_as_their_parts_are(prompts: list[list[str | int]]) -> None:
    virtual = VirtualIds(10, P)
    for left in prompts:
        for right in prompts:
            ids = [virtual.prompt(*with_image(parts)).ids for parts in (left, right)]
            shared_parts = next(
                (place for place, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]),
                min(len(left), len(right)),
            )
            length = len(prompt_of(left[:shared_parts])[0])
            assert ids[0][:length] == ids[1][:length]
            if shared_parts < min(len(left), len(right)):
                assert ids[0][length] != ids[1][length]


def with_image(parts: list[str | int]) -> tuple[list[int], int, list[str]]:
    ids, pictures = prompt_of(parts)
    return ids, IMAGE, pictures


def test_spans_say_where_the_pictures_are() -> None:
    prompt = VirtualIds(10, P).prompt(*with_image([1, "a", "b", 2]))
    assert prompt.spans == (PictureSpan(1, 4, 0), PictureSpan(4, 7, 1))
    assert prompt.ids == (1, 10, 11, 12, 13, 14, 15, 2)


def test_a_forgotten_picture_gets_a_range_that_was_never_anothers() -> None:
    virtual = VirtualIds(10, P, most_remembered=2)
    given = [virtual.prompt(*with_image([name])).ids for name in ("a", "b", "a", "c", "b", "a")]
    assert given[2] == given[0] and given[4] != given[1]
    assert len(set(given)) == 5


@pytest.mark.parametrize(
    ("ids", "pictures"), [([1, IMAGE], ["a"]), ([1], ["a"]), ([IMAGE] * 6, ["a"]), ([IMAGE] * 3, [])]
)
def test_a_wrong_number_of_places_is_told_with_both_numbers(ids: list[int], pictures: list[str]) -> None:
    with pytest.raises(
        PictureCountError, match=rf"{ids.count(IMAGE)} image tokens.* take {len(pictures) * P}"
    ):
        VirtualIds(10, P).prompt(ids, IMAGE, pictures)


def test_torn_pictures_are_refused() -> None:
    with pytest.raises(PictureCountError, match="torn apart"):
        VirtualIds(10, P).prompt([IMAGE, 1, IMAGE, IMAGE], IMAGE, ["a"])
