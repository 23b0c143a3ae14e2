"""A row says what was reached, which way round its bar stands, and what was left out."""

from __future__ import annotations

import pytest

from scripts.engine_bench.row import Bar, Row, head, line


@pytest.mark.parametrize(
    ("bar", "value", "verdict"),
    [
        (Bar(1.25, 1.5), 1.6, "aim"),
        (Bar(1.25, 1.5), 1.25, "yes"),
        (Bar(1.25, 1.5), 1.24, "MISSED"),
        (Bar(1.1, 0.9, most=True), 0.9, "aim"),
        (Bar(1.1, 0.9, most=True), 1.0, "yes"),
        (Bar(1.1, 0.9, most=True), 1.2, "MISSED"),
    ],
)
def test_a_bar_tells_aim_from_reached_from_missed(bar: Bar, value: float, verdict: str) -> None:
    assert bar.verdict(value) == verdict


def test_the_value_is_the_median_of_the_rounds_own_ratios() -> None:
    """Both sides of the third round were disturbed alike; its ratio is as good as the others."""
    row = Row.paired("w", "a", "s", [1.0, 2.0, 30.0], [2.0, 4.0, 90.0], Bar(1.0, 1.0, most=True))
    assert row.value == 0.5
    assert row.spread == "0.333–0.5"


def test_times_in_total_are_compared_upside_down() -> None:
    assert Row.paired("w", "a", "s", [2.0], [8.0], Bar(3.3, 5.0), upside_down=True).value == 4.0


def test_a_missed_row_and_one_left_out_are_told_apart_in_the_table() -> None:
    missed = line(Row.paired("decode", "peer", "tokens/s", [1.0], [1.0], Bar(1.25, 1.5)), with_bars=True)
    assert "| ≥ 1.25 (1.5) | MISSED |" in missed
    left_out = line(Row.left_out("decode", "peer", "not installed"), with_bars=True)
    assert "MISSED" not in left_out and "left out: not installed" in left_out


@pytest.mark.parametrize("with_bars", [True, False])
def test_every_line_has_as_many_cells_as_the_head(with_bars: bool) -> None:
    row = Row.paired("w", "a", "s", [1.0], [1.0], Bar(1.0, 1.0))
    columns = head(with_bars=with_bars).splitlines()[0].count("|")
    assert line(row, with_bars=with_bars).count("|") == columns
