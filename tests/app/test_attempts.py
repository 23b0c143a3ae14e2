"""Wrong passwords cost time: by name and network, more each time, and never more memory than was set aside."""

from __future__ import annotations

import pytest

from app import attempts as module
from app.attempts import (
    FORGOTTEN_AFTER_SECONDS,
    FREE_BY_NAME,
    FREE_BY_NETWORK,
    FREE_BY_PAIR,
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
    for _ in range(12):
        attempts.wrong("ann", "10.0.0.1")
        pauses.append(attempts.seconds_to_wait("ann", "10.0.0.1"))
        clock.now += pauses[-1]
    assert pauses == [0, 0, 0, 0, 10, 20, 40, 80, 160, 300, 300, 300]
    assert pauses[FREE_BY_PAIR - 2] == 0 and max(pauses) == LONGEST_PAUSE_SECONDS


def test_who_guesses_as_fast_as_they_may_for_a_day_keeps_nobody_elsewhere_out() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    ends = clock.now + 86_400
    while clock.now < ends:
        attempts.wrong("root", "203.0.113.7")
        assert attempts.seconds_to_wait("root", "203.0.113.8") == 0
        clock.now += attempts.seconds_to_wait("root", "203.0.113.7")


def test_a_guess_from_many_networks_is_slowed_too() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    guesses, ends = 0, clock.now + 86_400
    while clock.now < ends:
        attempts.wrong("root", f"10.{guesses // 250}.{guesses % 250}.1")  # always from elsewhere
        guesses += 1
        if guesses == FREE_BY_NAME:
            assert attempts.seconds_to_wait("root", "203.0.113.8") == 10
            assert attempts.seconds_to_wait("ann", "203.0.113.8") == 0
        clock.now += attempts.seconds_to_wait("root", "203.0.113.8")
    assert FREE_BY_NAME < guesses < 2_000


def test_where_somebody_signed_in_before_guesses_from_elsewhere_do_not_keep_them_out() -> None:
    attempts = Attempts(Clock())
    attempts.right("root", "203.0.113.8")
    for number in range(2 * FREE_BY_NAME):
        attempts.wrong("root", f"10.0.{number}.1")
    assert attempts.seconds_to_wait("root", "203.0.113.9") > 0
    assert attempts.seconds_to_wait("root", "203.0.113.8") == 0
    for _ in range(FREE_BY_PAIR):
        attempts.wrong("root", "203.0.113.8")  # to guess there is no better for it
    assert attempts.seconds_to_wait("root", "203.0.113.8") > 0


def test_a_network_that_tries_many_names_waits_and_others_do_not() -> None:
    attempts = Attempts(Clock())
    for number in range(FREE_BY_NETWORK):
        assert attempts.seconds_to_wait("ann", "10.0.0.1") == 0
        attempts.wrong(f"guess-{number}", "10.0.0.1")
    assert attempts.seconds_to_wait("ann", "10.0.0.1") == 10
    assert attempts.seconds_to_wait("ann", "10.0.0.2") == 0
    attempts.right("ann", "10.0.0.1")  # an own login does not pay for guesses at others
    assert attempts.seconds_to_wait("bob", "10.0.0.1") == 10


def test_a_right_password_and_a_quarter_of_an_hour_forget() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(9):
        attempts.wrong("ann", "10.0.0.1")
    clock.now += FORGOTTEN_AFTER_SECONDS + 1
    attempts.wrong("ann", "10.0.0.1")
    assert attempts.seconds_to_wait("ann", "10.0.0.1") == 0
    for _ in range(FREE_BY_PAIR - 2):
        attempts.wrong("ann", "10.0.0.1")
    attempts.right("ann", "10.0.0.1")
    attempts.wrong("ann", "10.0.0.1")
    assert attempts.seconds_to_wait("ann", "10.0.0.1") == 0


def test_long_and_many_names_take_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUM_WATCHED", 50)
    attempts = Attempts(Clock())
    for number in range(500):
        attempts.wrong(f"{number}" * 1000, f"10.0.{number // 250}.{number % 250}")
        attempts.right(f"{number}" * 1000, f"10.1.{number // 250}.{number % 250}")
    for kept in (attempts._counts, attempts._came_in):
        assert len(kept) == 50 and max(len(key) for key in kept) == 32
    attempts.wrong("\ud800", "10.0.0.1")  # half a character is a name like any other
