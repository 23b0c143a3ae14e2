"""A tab that is left open while the program ends and is started again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.running_page import RunningPage
from tests.browser.visitor import Visitor


@pytest.fixture
def restarted(tmp_path: Path, tiny_checkpoint: Path) -> Iterator[RunningPage]:
    page = RunningPage(tmp_path / "page", ("--model", str(tiny_checkpoint))).start()
    yield page
    page.stop()


def test_a_tab_goes_on_by_itself_when_the_program_is_back(
    visit: Callable[..., Visitor], restarted: RunningPage
) -> None:
    visitor = visit(restarted).wait_until_ready()
    visitor.longest(8)
    visitor.ask("Before?")
    visitor.wait_for_end()
    visitor.write("Not sent yet")
    restarted.crash()
    visitor.page.wait_for_selector('#state[data-tone="failed"]')
    restarted.start()
    visitor.page.wait_for_selector('#state:not([data-tone="failed"])')
    visitor.wait_until_ready()
    assert visitor.page.input_value("#draft") == "Not sent yet"
    visitor.longest(8)
    visitor.ask("After?")
    visitor.wait_for_end()
    assert [each["text"] for each in restarted.questions(visitor.conversation)] == ["Before?", "After?"]
