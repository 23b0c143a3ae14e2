"""Pictures that wait to be sent: so many of one owner, so many of all, and what was sent counts no longer."""

from __future__ import annotations

import pytest

from app.drafts import DraftLimits, Drafts, TooManyDrafts


class Store:
    """Which pictures wait, as the store knows it."""

    def __init__(self) -> None:
        self.sent: set[str] = set()

    def is_draft(self, sha256: str) -> bool:
        return sha256 not in self.sent


@pytest.mark.parametrize(
    ("limits", "said"),
    [(DraftLimits(pictures=3), "At most 3 pictures"), (DraftLimits(bytes=3_000_000), "3 MB")],
)
def test_as_many_as_the_limit_wait_and_sending_one_makes_room(limits: DraftLimits, said: str) -> None:
    store = Store()
    drafts = Drafts(store.is_draft, limits)
    for number in range(3):
        drafts.check("ann")
        drafts.add("ann", f"picture-{number}", 1_000_000)
    with pytest.raises(TooManyDrafts, match=said):
        drafts.check("ann")
    drafts.check("bob")
    store.sent.add("picture-1")
    drafts.check("ann")


def test_the_same_picture_added_twice_waits_once() -> None:
    drafts = Drafts(lambda sha256: True, DraftLimits(pictures=2))
    for _ in range(5):
        drafts.check("ann")
        drafts.add("ann", "one", 10)


def test_many_visitors_together_are_limited_too_and_what_they_sent_is_forgotten() -> None:
    store = Store()
    drafts = Drafts(store.is_draft, DraftLimits(all_pictures=4))
    for number in range(4):
        drafts.check(f"visitor-{number}")
        drafts.add(f"visitor-{number}", f"picture-{number}", 10)
    with pytest.raises(TooManyDrafts, match="all its visitors"):
        drafts.check("visitor-9")
    store.sent.update(("picture-0", "picture-1"))
    drafts.check("visitor-9")
    assert set(drafts._waiting) == {"visitor-2", "visitor-3"}
