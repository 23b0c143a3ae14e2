"""A run's curves: only what is new is told, what was taken again is told anew, and long runs in few points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.training_curves import Curves, downsampled
from model.training.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


class Browser:
    """Puts together what it is told, as the page's script does."""

    def __init__(self) -> None:
        self.rewinds = self.lines = 0
        self.points: dict[int, dict[str, Any]] = {}

    def hear(self, told: dict[str, Any]) -> int:
        """How many points came."""
        assert told["whole"] or (told["rewinds"], told["from"]) == (self.rewinds, self.lines)
        if told["whole"]:
            self.points.clear()
        for point in told["points"]:
            self.points[point["step"]] = self.points.get(point["step"], {}) | point
        self.rewinds, self.lines = told["rewinds"], told["lines"]
        return len(told["points"])

    def look(self, curves: Curves) -> int:
        curves.read()
        return self.hear(curves.since(self.rewinds, self.lines))


def test_only_what_is_new_is_told(folder: RunFolder) -> None:
    curves, browser = Curves(folder.metrics_file), Browser()
    assert browser.look(curves) == 0, "there is no file yet"
    for step in (1, 2, 3):
        folder.add_metrics({"step": step, "loss": 1.0 / step, "grad_norm": 3.0})
    assert browser.look(curves) == 3 and browser.look(curves) == 0
    folder.add_metrics({"step": 4, "loss": 0.1})
    folder.add_metrics({"step": 4, "held_out_loss": 0.2})
    assert browser.look(curves) == 1
    assert browser.points[4] == {"step": 4, "loss": 0.1, "held_out_loss": 0.2}
    assert "grad_norm" not in browser.points[1]
    folder.add_metrics({"step": 4, "learning_rate": 0.5})
    assert browser.look(curves) == 1 and browser.points[4]["learning_rate"] == 0.5


def test_steps_that_are_taken_again_after_a_resume_replace_what_stood_there(folder: RunFolder) -> None:
    curves, browser, late = Curves(folder.metrics_file), Browser(), Browser()
    for step in range(1, 51):
        folder.add_metrics({"step": step, "loss": 2.0})
    browser.look(curves)
    late.look(curves)
    folder.add_metrics({"step": 41, "loss": 1.0})
    browser.look(curves)
    assert max(browser.points) == 41 and browser.points[41]["loss"] == 1.0
    for step in range(42, 61):
        folder.add_metrics({"step": step, "loss": 1.0})
    browser.look(curves)
    late.look(curves)  # a tab that slept while the run got further than it ever knew
    ours = {step: point["loss"] for step, point in browser.points.items()}
    theirs = {each["step"]: each["loss"] for each in folder.metrics()}
    assert ours == theirs and late.points == browser.points


def test_a_line_that_is_half_there_is_read_when_it_is_whole(folder: RunFolder) -> None:
    curves, browser = Curves(folder.metrics_file), Browser()
    line = json.dumps({"step": 1, "loss": 0.5}) + "\n"
    folder.metrics_file.write_text(line[:9])
    assert browser.look(curves) == 0
    folder.metrics_file.write_text(line + "no json\n[1]\n" + '{"step": 2, "loss": NaN}\n{"step": "3"}\n')
    assert browser.look(curves) == 2 and browser.points == {1: {"step": 1, "loss": 0.5}, 2: {"step": 2}}


def test_another_file_in_its_place_is_told_from_its_beginning(folder: RunFolder) -> None:
    curves, browser = Curves(folder.metrics_file), Browser()
    for step in (1, 2):
        folder.add_metrics({"step": step, "loss": 1.0})
    browser.look(curves)
    folder.metrics_file.unlink()
    folder.add_metrics({"step": 1, "loss": 7.0})
    browser.look(curves)
    assert browser.points == {1: {"step": 1, "loss": 7.0}}


def test_a_page_that_was_started_anew_goes_on_where_the_browser_is(folder: RunFolder) -> None:
    browser = Browser()
    folder.add_metrics({"step": 1, "loss": 1.0})
    browser.look(Curves(folder.metrics_file))
    folder.add_metrics({"step": 2, "loss": 2.0})
    assert browser.look(Curves(folder.metrics_file)) == 1 and set(browser.points) == {1, 2}


def test_a_long_run_is_told_in_few_points_and_every_held_out_loss_as_it_was() -> None:
    points: list[dict[str, Any]] = [{"step": step, "loss": float(step)} for step in range(1, 10_001)]
    points[4_999]["held_out_loss"] = 0.25
    points[7_003]["held_out_loss"] = 0.5
    told = downsampled(points, 800)
    assert len(told) <= 802 and told[-1]["step"] == 10_000
    assert [each["step"] for each in told] == sorted(each["step"] for each in told)
    assert {each["step"]: each["held_out_loss"] for each in told if "held_out_loss" in each} == {
        5_000: 0.25,
        7_004: 0.5,
    }
    losses = [each for each in told if "loss" in each]
    assert losses[0] == {"step": 13, "loss": 7.0}
    assert downsampled(points[:800], 800) == points[:800]
