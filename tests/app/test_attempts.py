"""Wrong passwords cost time: by name and by address, more each time, and never more memory than was set aside."""

from __future__ import annotations

import pytest

from app import attempts as module
from app.attempts import (
    FORGOTTEN_AFTER_SECONDS,
    FREE_BY_ADDRESS,
    FREE_BY_NAME,
    LONGEST_PAUSE_SECONDS,
    Attempts,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_five_wrong_ones_each_further_one_doubles_the_pause_up_to_five_minutes() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    pauses = []
    for number in range(12):
        attempts.wrong("ann", f"10.0.0.{number}")  # always from elsewhere
        pauses.append(attempts.seconds_to_wait("ann", "10.9.9.9"))
        clock.now += pauses[-1]
    assert pauses == [0, 0, 0, 0, 10, 20, 40, 80, 160, 300, 300, 300]
    assert pauses[FREE_BY_NAME - 2] == 0 and max(pauses) == LONGEST_PAUSE_SECONDS


def test_an_address_that_tries_many_names_waits_and_others_do_not() -> None:
    attempts = Attempts(Clock())
    for number in range(FREE_BY_ADDRESS):
        assert attempts.seconds_to_wait("ann", "10.0.0.1") == 0
        attempts.wrong(f"guess-{number}", "10.0.0.1")
    assert attempts.seconds_to_wait("ann", "10.0.0.1") == 10
    assert attempts.seconds_to_wait("ann", "10.0.0.2") == 0
    attempts.right("ann")  # an own login does not pay for guesses at others
    assert attempts.seconds_to_wait("bob", "10.0.0.1") == 10


def test_a_right_password_and_a_quarter_of_an_hour_forget() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(9):
        attempts.wrong("ann", "10.0.0.1")
    clock.now += FORGOTTEN_AFTER_SECONDS + 1
    attempts.wrong("ann", "10.0.0.1")
    assert attempts.seconds_to_wait("ann", "10.0.0.1") == 0
    for _ in range(FREE_BY_NAME - 2):
        attempts.wrong("ann", "10.0.0.1")
    attempts.right("ann")
    attempts.wrong("ann", "10.0.0.1")
    assert attempts.seconds_to_wait("ann", "10.0.0.1") == 0


def test_long_and_many_names_take_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUM_WATCHED", 50)
    attempts = Attempts(Clock())
    for number in range(500):
        attempts.wrong(f"{number}" * 1000, f"10.0.{number // 250}.{number % 250}")
    assert len(attempts._counts) == 50
    assert max(len(key) for key in attempts._counts) == 32
    attempts.wrong("\ud800", "10.0.0.1")  # half a character is a name like any other
