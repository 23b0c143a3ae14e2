"""The shipped model through the whole path: a picture in, an answer on the page that is right for the known scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.demo_world import facts
from tests.browser.running_page import DEMO, RunningPage
from tests.browser.visitor import Visitor
from tests.known_scene import drawn, plain_scene

pytestmark = pytest.mark.skipif(
    not (DEMO / "model.safetensors").is_file(),
    reason="model/demo has no weights yet; make demo-model trains them",
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPage]:
    page = RunningPage(tmp_path_factory.mktemp("demo"), ("--model", str(DEMO))).start().wait_until_ready()
    yield page
    page.stop()


@pytest.fixture
def person(visit: Callable[..., Visitor], demo: RunningPage) -> Visitor:
    visitor = visit(demo).wait_until_ready()
    visitor.choose("temperature", 0)
    return visitor


def test_a_picture_and_a_question_get_the_right_answer_and_so_does_a_follow_up(
    person: Visitor, demo: RunningPage, tmp_path: Path
) -> None:
    scene = plain_scene(2)
    one, other = scene.things
    person.ask("How many shapes are there?", drawn(scene, tmp_path))
    assert person.wait_for_end() == "stop"
    assert facts.number(person.raw()) == 2, person.raw()
    person.ask(f"What color is the {one.shape}?")
    assert person.wait_for_end() == "stop"
    assert facts.attribute(person.raw(), "colour") == one.colour, person.raw()
    person.ask(f"Is there a {other.colour} {other.shape} in the picture?")
    assert person.wait_for_end() == "stop"
    assert facts.yes_or_no(person.raw()) == "yes", person.raw()
    assert [each["text"] for each in demo.answers(person.conversation)][-1] == person.raw()


def test_it_says_what_it_knows_and_greets(person: Visitor) -> None:
    assert "shape" in person.page.locator("#about").inner_text()
    person.ask("Hello!")
    assert person.wait_for_end() == "stop"
    assert person.raw().strip()


def test_every_example_of_the_empty_page_gets_a_whole_answer(person: Visitor) -> None:
    for number in range(person.page.locator(".example").count()):
        person.page.click("[data-do=new]")
        person.page.locator(".example").nth(number).click()
        person.page.wait_for_selector("#thread .question .picture")
        assert person.wait_for_end() == "stop"
        assert len(person.raw().split()) >= 1
