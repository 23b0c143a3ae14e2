"""Few places, many who want them: nobody takes them all, and what is given back is free again."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import wording
from app.fair_share import FairShare, NoPlace, network_of


def share(per_owner: int = 2, per_address: int = 3) -> FairShare:
    return FairShare(per_owner, per_address, wording.too_many_answers)


def test_an_owner_holds_so_many_and_another_still_gets_one() -> None:
    places = share()
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(places.place("visitor:a", "10.0.0.1"))
        with (
            pytest.raises(NoPlace, match="At most 2 answers are written for you"),
            places.place("visitor:a", "10.0.0.2"),
        ):
            pass
        held.enter_context(places.place("visitor:b", "10.0.0.2"))
    with places.place("visitor:a", "10.0.0.1"):
        pass


def test_who_drops_the_cookie_is_still_at_the_same_address() -> None:
    places = share(per_owner=1)
    with ExitStack() as held:
        for number in range(3):
            held.enter_context(places.place(f"visitor:{number}", "2001:db8::1"))
        with pytest.raises(NoPlace, match="for your network"), places.place("visitor:9", "2001:db8::2"):
            pass
        for number in range(3):  # who signed in is known by name, wherever from
            held.enter_context(places.place(f"user:{number}", "2001:db8::1"))


def test_a_place_is_free_again_whatever_ends_it_and_nothing_is_kept_of_who_holds_none() -> None:
    places = share(per_owner=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), places.place("visitor:a", "10.0.0.1"):
            raise ZeroDivisionError
    with places.place("visitor:a"), pytest.raises(NoPlace), places.place("visitor:a", "10.0.0.1"):
        pass
    assert not places._held


@pytest.mark.parametrize(
    ("address", "network"),
    [("10.1.2.3", "10.1.2.3"), ("::ffff:10.1.2.3", "10.1.2.3"), ("[2001:db8::5]", "2001:db8::/64"), ("", ""),
     ("testclient", "testclient"), ("x" * 500, "x" * 64)],
)  # fmt: skip
def test_an_address_stands_for_its_household(address: str, network: str) -> None:
    assert network_of(address) == network


@given(st.text(max_size=80))
def test_whatever_a_proxy_says_is_an_address_of_some_kind(address: str) -> None:
    assert len(network_of(address)) <= 64
