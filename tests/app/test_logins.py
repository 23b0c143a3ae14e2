"""Signing in, and being made to wait."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from app.attempts import FREE_BY_NETWORK, FREE_BY_PAIR, Attempts
from app.logins import ADDRESS, Logins


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_only_the_right_password_of_the_right_name_comes_in() -> None:
    logins = Logins({"ann": "one", "bob": "twö"})
    assert logins.check("ann", "one") and logins.check("bob", "twö")
    assert not logins.check("ann", "twö") and not logins.check("cy", "one") and not logins.check("", "")
    assert not logins.check("ann", "\ud800")


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_who_guesses_is_told_how_long_to_wait_whether_the_name_exists_or_not(name: str) -> None:
    clock = Clock()
    logins = Logins({"ann": "one", "bob": "two"}, Attempts(clock))
    for _ in range(FREE_BY_PAIR):
        assert not logins.check(name, "wrong")
    for password in ("wrong", "one"):
        with pytest.raises(HTTPException) as refused:
            logins.check(name, password)
        assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "10"})
        assert refused.value.detail == "Too many wrong passwords; the next try is possible in 10 seconds."
    assert logins.check("bob", "two")
    clock.now = 10.0
    assert logins.check(name, "one") == (name == "ann")


def test_the_address_behind_the_tries_is_counted_too() -> None:
    logins = Logins({"ann": "one"}, Attempts(Clock()))
    token = ADDRESS.set("203.0.113.7")
    for number in range(FREE_BY_NETWORK):
        assert not logins.check(f"name-{number}", "wrong")
    with pytest.raises(HTTPException):
        logins.check("ann", "one")
    ADDRESS.reset(token)
    token = ADDRESS.set("203.0.113.8")
    assert logins.check("ann", "one")
    ADDRESS.reset(token)


def test_a_right_password_forgets_the_wrong_ones_before_it() -> None:
    logins = Logins({"ann": "one"}, Attempts(Clock()))
    for _ in range(3):
        for _ in range(FREE_BY_PAIR - 1):
            logins.check("ann", "wrong")
        assert logins.check("ann", "one")


def test_who_polls_a_name_from_one_address_keeps_its_owner_out_from_no_other() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    logins = Logins({"root": "one"}, attempts)
    token = ADDRESS.set("203.0.113.7")
    for _ in range(300):  # a try the moment that the pause is over, for a day
        clock.now += attempts.seconds_to_wait("root", "203.0.113.7")
        assert not logins.check("root", "guess")
    ADDRESS.reset(token)
    token = ADDRESS.set("203.0.113.8")
    assert logins.check("root", "one")
    ADDRESS.reset(token)
