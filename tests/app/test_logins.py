"""Signing in, and being made to wait."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from app.attempts import FREE_BY_ADDRESS, FREE_BY_NAME, Attempts
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
    for _ in range(FREE_BY_NAME):
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
    for number in range(FREE_BY_ADDRESS):
        assert not logins.check(f"name-{number}", "wrong")
    with pytest.raises(HTTPException):
        logins.check("ann", "one")
    ADDRESS.reset(token)
    ADDRESS.set("203.0.113.8")
    assert logins.check("ann", "one")


def test_a_right_password_forgets_the_wrong_ones_before_it() -> None:
    logins = Logins({"ann": "one"}, Attempts(Clock()))
    for _ in range(3):
        for _ in range(FREE_BY_NAME - 1):
            logins.check("ann", "wrong")
        assert logins.check("ann", "one")
