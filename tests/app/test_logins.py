"""Signing in, and being locked out."""

from __future__ import annotations

from app.logins import LOCKED_SECONDS, MAX_WRONG, Logins


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_only_the_right_password_of_the_right_name_comes_in() -> None:
    logins = Logins({"ann": "one", "bob": "twö"})
    assert logins.check("ann", "one") and logins.check("bob", "twö")
    assert not logins.check("ann", "twö") and not logins.check("cy", "one") and not logins.check("", "")


def test_after_five_wrong_passwords_a_name_is_locked_for_five_minutes_and_others_are_not() -> None:
    clock = Clock()
    logins = Logins({"ann": "one", "bob": "two"}, clock)
    for _ in range(MAX_WRONG):
        assert not logins.check("ann", "wrong")
    assert not logins.check("ann", "one")
    assert logins.check("bob", "two")
    clock.now = LOCKED_SECONDS + 1
    assert logins.check("ann", "one")


def test_a_right_password_forgets_the_wrong_ones_before_it() -> None:
    logins = Logins({"ann": "one"}, Clock())
    for _ in range(3):
        for _ in range(MAX_WRONG - 1):
            logins.check("ann", "wrong")
        assert logins.check("ann", "one")
