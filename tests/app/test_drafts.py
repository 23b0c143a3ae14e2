"""Pictures that wait to be sent: so many of one owner, so many of all, and what was sent counts no longer."""

from __future__ import annotations

import pytest

from app.drafts import DraftLimits, Drafts, Room, TooManyDrafts

MANY = 10**12


class Store:
    """Which pictures wait, as the store knows it."""

    def __init__(self) -> None:
        self.sent: set[str] = set()

    def is_draft(self, sha256: str) -> bool:
        return sha256 not in self.sent


@pytest.mark.parametrize(
    ("room", "said"),
    [(Room(3, MANY), "At most 3 pictures"), (Room(MANY, 3_000_000), "3 MB")],
)
def test_as_many_as_the_limit_wait_and_sending_one_makes_room(room: Room, said: str) -> None:
    store = Store()
    drafts = Drafts(store.is_draft, DraftLimits(owner=room))
    for number in range(3):
        drafts.check("ann")
        drafts.add("ann", f"picture-{number}", 1_000_000)
    with pytest.raises(TooManyDrafts, match=said):
        drafts.check("ann")
    drafts.check("bob")
    store.sent.add("picture-1")
    drafts.check("ann")


def test_the_same_picture_added_twice_waits_once() -> None:
    drafts = Drafts(lambda sha256: True, DraftLimits(owner=Room(2, MANY)))
    for _ in range(5):
        drafts.check("ann")
        drafts.add("ann", "one", 10)


def test_many_visitors_together_are_limited_too_and_what_they_sent_is_forgotten() -> None:
    store = Store()
    drafts = Drafts(store.is_draft, DraftLimits(everybody=Room(4, MANY)))
    for number in range(4):
        drafts.check(f"visitor-{number}")
        drafts.add(f"visitor-{number}", f"picture-{number}", 10)
    with pytest.raises(TooManyDrafts, match="all its visitors"):
        drafts.check("visitor-9")
    store.sent.update(("picture-0", "picture-1"))
    drafts.check("visitor-9")
    assert set(drafts._waiting) == {"visitor-2", "visitor-3"}


def fill(drafts: Drafts, owner: str, address: str, most: int = 10_000) -> int:
    """How many more pictures are taken of this owner, up to `most`."""
    for number in range(most):
        try:
            drafts.check(owner, address)
        except TooManyDrafts:
            return number
        drafts.add(owner, f"{owner}-{number}", 10, address)
    return most


def test_one_address_fills_no_more_than_its_share_however_many_cookies_it_drops() -> None:
    drafts = Drafts(lambda sha256: True)
    limits = DraftLimits()
    assert sum(fill(drafts, f"visitor:{number}", "203.0.113.7") for number in range(40)) == 200
    with pytest.raises(TooManyDrafts, match=r"At most 200 pictures, or 1000 MB, .* from your network"):
        drafts.check("visitor:new", "203.0.113.7")
    assert fill(drafts, "visitor:new", "203.0.113.8") == limits.owner.pictures
    assert fill(drafts, "visitor:newer", "2001:db8::1") == limits.owner.pictures


def test_one_address_sends_no_more_bytes_than_its_share() -> None:
    drafts = Drafts(lambda sha256: True, DraftLimits(network=Room(MANY, 3_000_000)))
    for number in range(3):
        drafts.check(f"visitor:{number}", "2001:db8::1")
        drafts.add(f"visitor:{number}", f"picture-{number}", 1_000_000, "2001:db8::1")
    with pytest.raises(TooManyDrafts, match="3 MB"):
        drafts.check("visitor:9", "2001:db8::2")  # the same household


def test_what_an_address_sent_makes_room_for_it_and_nothing_is_kept_of_it() -> None:
    store = Store()
    drafts = Drafts(store.is_draft, DraftLimits(network=Room(2, MANY)))
    for number in range(2):
        assert fill(drafts, f"visitor:{number}", "203.0.113.7", 1) == 1
    assert fill(drafts, "visitor:9", "203.0.113.7", 1) == 0
    store.sent.update(("visitor:0-0", "visitor:1-0"))
    drafts.check("visitor:9", "203.0.113.7")
    drafts.check("visitor:0")
    drafts.check("visitor:1")
    assert not drafts._waiting


def test_who_signed_in_finds_room_when_visitors_have_filled_theirs() -> None:
    drafts = Drafts(lambda sha256: True)
    limits = DraftLimits()
    taken = sum(fill(drafts, f"visitor:{number}", f"10.0.{number}.1") for number in range(60))
    assert taken == limits.visitors.pictures < limits.everybody.pictures
    with pytest.raises(TooManyDrafts, match="all its visitors"):
        drafts.check("visitor:new", "10.9.9.9")
    assert fill(drafts, "user:ann", "10.0.0.1") == limits.owner.pictures


def test_visitors_leave_bytes_to_those_who_signed_in_too() -> None:
    drafts = Drafts(lambda sha256: True, DraftLimits(visitors=Room(MANY, 6_000_000)))
    for number in range(6):
        drafts.check(f"visitor:{number}", f"10.0.0.{number}")
        drafts.add(f"visitor:{number}", f"picture-{number}", 1_000_000, f"10.0.0.{number}")
    with pytest.raises(TooManyDrafts):
        drafts.check("visitor:9", "10.0.0.9")
    drafts.check("user:ann", "10.0.0.1")
