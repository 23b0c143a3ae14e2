"""The shipped model answers right: the bar that its card claims, on few questions here and on all of them nightly."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.checkpoint import load
from scripts import evaluate_demo
from scripts.demo_world.candidate import answer_all
from scripts.demo_world.examination import Mark, mark, questions

DEMO = Path(__file__).resolve().parents[2] / "model" / "demo"
OVERALL_AT_LEAST = 0.85
A_KIND_AT_LEAST = 0.70


def _marks(num_per_kind: int) -> list[Mark]:
    asked = list(questions(num_per_kind))
    return mark(asked, answer_all(load(DEMO), asked))


def _overall(marks: list[Mark]) -> float:
    return sum(item.score for item in marks) / len(marks)


def test_the_shipped_model_passes_a_short_examination() -> None:
    assert _overall(_marks(12)) >= OVERALL_AT_LEAST


@pytest.mark.nightly
def test_the_shipped_model_passes_the_whole_examination() -> None:
    assert _overall(_marks(150)) >= OVERALL_AT_LEAST


@pytest.mark.nightly
def test_no_kind_of_question_is_below_the_bar() -> None:
    marks = _marks(150)
    assert {item.kind: item.score for item in marks if item.score < A_KIND_AT_LEAST} == {}


def test_the_table_is_printed_with_a_row_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_demo.main(["--model", str(DEMO), "--questions-per-kind", "1", "--mistakes", "1"])
    printed = capsys.readouterr().out
    assert "| describe | 1 |" in printed and "**15**" in printed


def test_the_shipped_weights_are_small_enough_to_ship() -> None:
    assert (DEMO / "model.safetensors").stat().st_size <= 25_000_000


def test_the_card_tells_how_it_was_made_and_what_was_measured() -> None:
    card = (DEMO / "README.md").read_text(encoding="utf-8")
    for told in ("seed", "MB", "majority answer", "| describe |", "make demo-model"):
        assert told in card


def test_the_readme_shows_the_card_s_table() -> None:
    card, readme = ((folder / "README.md").read_text(encoding="utf-8") for folder in (DEMO, DEMO.parents[1]))
    rows = [line for line in card.splitlines() if line.startswith("|") and line.count("|") == 6]
    assert len(rows) == 18 and "\n".join(rows) in readme
