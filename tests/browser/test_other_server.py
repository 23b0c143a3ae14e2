"""The page in a browser with `transformers serve` behind it: the right answer, and nothing offered that it lacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.demo_world import facts
from tests.browser.running_page import RunningPage
from tests.browser.visitor import Visitor
from tests.known_scene import drawn, plain_scene
from tests.peers.transformers_server import needs_the_model, transformers_server


@pytest.mark.nightly
@pytest.mark.timeout(900)
@needs_the_model
def test_a_question_about_a_picture_is_answered_rightly(
    visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    scene = plain_scene(2)
    with transformers_server(tmp_path) as url:
        page = RunningPage(tmp_path / "page", ("--worker-url", url)).start()
        try:
            visitor = visit(page).wait_until_ready()
            visitor.choose("temperature", 0)
            visitor.ask("How many shapes are there?", drawn(scene, tmp_path))
            assert visitor.wait_for_end() == "stop"
            assert facts.number(visitor.raw()) == 2, visitor.raw()
            visitor.ask(f"What color is the {scene.things[0].shape}?")
            assert visitor.wait_for_end() == "stop"
            assert facts.attribute(visitor.raw(), "colour") == scene.things[0].colour, visitor.raw()
            assert not visitor.reply.locator('[data-do="see-prompt"]').is_visible(), "it shows no prompts"
            assert visitor.faults == []
        finally:
            page.stop()
