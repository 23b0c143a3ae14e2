"""Two tabs of one person."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.running_page import RunningPage
from tests.browser.visitor import Visitor

COMES_BACK = "document.dispatchEvent(new Event('visibilitychange'))"


def test_a_tab_shows_what_another_did_when_somebody_comes_back_to_it(
    visit: Callable[..., Visitor], running: RunningPage
) -> None:
    here = visit(running).wait_until_ready()
    here.longest(8)
    here.ask("First?")
    here.wait_for_end()
    there = visit(running, beside=here).go(f"?c={here.conversation}")
    there.page.wait_for_selector("#thread .question")
    here.ask("Second?")
    here.wait_for_end()
    assert there.page.locator("#thread .question").count() == 1
    there.page.evaluate(COMES_BACK)
    there.page.get_by_text("Second?").wait_for()
    here.page.locator("[data-do=new]").click()
    here.ask("Another chat?")
    here.wait_for_end()
    there.page.evaluate(COMES_BACK)
    there.page.locator("#chats .chat", has_text="Another chat?").wait_for()
    assert there.conversation != here.conversation and there.page.locator("#thread .question").count() == 2
