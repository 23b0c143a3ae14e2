"""What is aimed at is held: each aim is missed by its own number, and the table tells what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from model.training.config import DataSource, TrainingConfig
from scripts import prove_loop
from scripts.loop_proof.asking import Answered
from scripts.loop_proof.curve import Curve
from scripts.loop_proof.old_world import OldWorld
from scripts.loop_proof.proof import Proof, Share, Skill
from scripts.loop_proof.skill import TEST_FROM, tasks

METRICS = [{"step": step, "loss": 2 / step, "learning_rate": 1e-3} for step in range(1, 41)]
METRICS[19] |= {"held_out_loss": 0.25}
CURVE = Curve.of(METRICS)
MET = Proof(
    num_corrections=40, num_mixed=24,
    before=Skill(Share(0, 30), Share(2, 30)), after=Skill(Share(20, 30), Share(28, 30)),
    old_before=OldWorld(0.95, 210, {}), old_after=OldWorld(0.92, 210, {}), steps=(("train", 300.0), ("ask", 90.5)),
    curve=CURVE, config=TrainingConfig("lora", "model/demo", (DataSource("train.json"),), learning_rate=2e-3),
)  # fmt: skip


def test_what_meets_every_aim_misses_none() -> None:
    assert list(MET.missed()) == []


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"before": Skill(Share(0, 30), Share(6, 30))}, "10.0%"),
        ({"after": Skill(Share(30, 30), Share(17, 30))}, "78.3%"),
        ({"old_after": OldWorld(0.915, 210, {})}, "3.5 points"),
        ({"steps": (("train", 601.0),)}, "601 seconds"),
    ],
)
def test_each_aim_that_is_missed_is_told_with_its_number(change: dict, number: str) -> None:
    (sentence,) = replace(MET, **change).missed()
    assert number in sentence


def test_both_halves_are_counted_by_themselves() -> None:
    asked = list(tasks(8, TEST_FROM))
    right = [Answered(task, number, task.answer, "tuned") for number, task in enumerate(asked)]
    wrong = [replace(each, text="There is one shape.") for each in right]
    assert Skill.of(right) == Skill(Share(4, 4), Share(4, 4)) and Skill.of(wrong).all == Share(0, 8)
    half = [each if each.task.is_mixed else replace(each, text="no") for each in right]
    assert Skill.of(half) == Skill(Share(4, 4), Share(0, 4))


def test_the_table_tells_both_halves_both_times_and_every_step() -> None:
    table = MET.table()
    for told in (
        "2 of 60 (3%)",
        "48 of 60 (80%)",
        "20 of 30 (67%)",
        "95.0%",
        "92.0% (-3.0 points)",
        "| 390 |",
        "300",
    ):
        assert told.replace("| 390 |", "390") in table


def test_how_often_the_view_got_news_is_told_where_it_was_noted() -> None:
    assert "news" not in MET.table()
    told = replace(MET, pauses=(1.0,) * 19 + (5.0,)).table()
    assert "news 21 times, 1.0 s apart" in told and "at most 1.2 s, the longest 5.0 s" in told


def test_the_curve_is_told_in_numbers_and_drawn() -> None:
    lines = CURVE.numbers(how_many=4).splitlines()
    assert lines[0].endswith(f"{sum(2 / step for step in range(1, 11)) / 10:.3f}")
    assert lines[-1] == "step   20  held-out loss 0.250"
    drawing = ElementTree.fromstring(CURVE.svg("A loss"))
    lengths = [
        len((line.get("points") or "").split())
        for line in drawing.iter("{http://www.w3.org/2000/svg}polyline")
    ]
    assert lengths == [40, 40, 1]


def test_a_run_without_a_step_has_a_curve_too() -> None:
    empty = Curve.of([])
    assert empty.numbers() == "no step was logged"
    ElementTree.fromstring(empty.svg("nothing"))


def test_the_docs_hold_the_table_and_the_drawing(tmp_path: Path) -> None:
    prove_loop.write_docs(MET, tmp_path / "loop")
    page = (tmp_path / "loop" / "README.md").read_text(encoding="utf-8")
    assert MET.table() in page and "](curve.svg)" in page and "rank 128" in page
    ElementTree.parse(tmp_path / "loop" / "curve.svg")


@pytest.mark.parametrize("given", ["rank", "=3", "two words=3"])
def test_a_setting_without_name_or_value_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        prove_loop.main(["--set", given])
    assert "FIELD=VALUE" in capsys.readouterr().err
