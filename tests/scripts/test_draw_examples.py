"""The examples on the empty page are drawn from their seeds, and the shipped model answers every one of them right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from model.checkpoint import load
from scripts import draw_examples
from scripts.demo_world import facts
from scripts.demo_world.candidate import answer_all
from scripts.demo_world.examination import Question
from scripts.demo_world.language import Exchange
from scripts.demo_world.scene import Scene, sample_scene

ROOT = Path(__file__).resolve().parents[2]


def _all_of(scene: Scene) -> frozenset[tuple[str, ...]]:
    return frozenset((thing.size, thing.colour, thing.shape, thing.place) for thing in scene.things)


def _largest(scene: Scene) -> frozenset[tuple[str, ...]]:
    thing = max(scene.things, key=lambda thing: thing.diameter)
    return frozenset({("", thing.colour, thing.shape)})


RIGHT: dict[str, Callable[[Scene, str], bool]] = {
    "Describe the picture.": lambda scene, said: facts.placed_things(said) == _all_of(scene),
    "How many crosses are there?": lambda scene, said: (
        facts.number(said) == sum(thing.shape == "cross" for thing in scene.things)
    ),
    "Is the yellow cross to the left of the orange circle?": lambda scene, said: facts.side(said) == "left",
    "Which shape is the largest?": lambda scene, said: facts.things(said) == _largest(scene),
}


def test_the_pictures_in_the_page_are_those_of_the_seeds(tmp_path: Path) -> None:
    draw_examples.main(["--out", str(tmp_path)])
    shipped = ROOT / "app" / "examples"
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == sorted(path.name for path in shipped.iterdir())
    assert (tmp_path / "examples.json").read_text() == (shipped / "examples.json").read_text()


@pytest.mark.parametrize(("seed", "question"), draw_examples.EXAMPLES)
def test_the_shipped_model_answers_the_example_right(seed: int, question: str) -> None:
    scene = sample_scene(seed)
    asked = Question("example", scene, Exchange("example", question, "", ""), held_out=False)
    answer = answer_all(load(ROOT / "model" / "demo"), [asked])[0]
    assert RIGHT[question](scene, answer), answer
    listed = json.loads((ROOT / "app" / "examples" / "examples.json").read_text(encoding="utf-8"))
    assert question in [each["question"] for each in listed]
