"""The clock's sums, on times written by hand."""

from __future__ import annotations

import time

import pytest

from scripts.engine_bench import timed
from scripts.engine_bench.timed import Timed, seconds, steady_rate


def test_the_prompts_reading_is_not_counted_as_decoding() -> None:
    answer = Timed(0.0, (10.0, 11.0, 12.0), 12.0, "a b c", 3)
    assert answer.first == 10.0
    assert answer.tokens_per_second == 1.0
    assert answer.gaps == (1.0, 1.0)


def test_a_steady_rate_counts_only_while_all_streams_run() -> None:
    early = Timed(0.0, (1.0, 2.0, 3.0, 4.0, 5.0), 5.0, "", 5)
    late = Timed(0.0, (3.0, 4.0, 5.0, 6.0, 7.0), 7.0, "", 5)
    assert steady_rate([early, late]) == pytest.approx(2.0)  # from 3 to 5: two pieces of each


@pytest.mark.parametrize(
    "late",
    [Timed(0.0, (6.0, 7.0), 7.0, "", 2), Timed(0.0, (5.0, 7.0), 7.0, "", 2), Timed(0.0, (), 7.0, "", 2)],
)
def test_streams_that_never_ran_together_have_no_rate(late: Timed) -> None:
    early = Timed(0.0, (1.0, 2.0, 3.0, 4.0, 5.0), 5.0, "", 5)
    assert steady_rate([early, late]) == 0.0


def test_a_piece_of_several_tokens_counts_as_so_many() -> None:
    assert steady_rate([Timed(0.0, (1.0, 2.0, 3.0), 3.0, "", 6)]) == pytest.approx(2.0)


def test_the_time_in_total_goes_from_the_first_start_to_the_last_end() -> None:
    assert seconds([Timed(1.0, (2.0,), 3.0, "", 1), Timed(2.0, (2.0,), 9.0, "", 1)]) == 8.0


def test_the_processors_time_stands_still_while_we_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed, "_clocks", list(timed._clocks))  # given back afterwards
    timed.count_processor_time()
    before = timed.now()
    time.sleep(0.3)
    assert timed.now() - before < 0.2
