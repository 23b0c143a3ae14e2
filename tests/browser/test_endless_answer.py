"""What befalls an answer in its midst: it is stopped, left, watched from a second tab, and what makes it is killed.

The model's answers have no end, so that each is in its midst however busy the machine is.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.test_worker_process import wait_for
from tests.browser.running_page import ENDLESS_TOKENS, RunningPage
from tests.browser.visitor import Visitor
from tests.held_process import HeldProcess


@pytest.fixture(scope="module")
def held_worker(tmp_path_factory: pytest.TempPathFactory) -> HeldProcess:
    return HeldProcess(tmp_path_factory.mktemp("held") / "first", "model.worker")


@pytest.fixture(scope="module")
def endless(
    tmp_path_factory: pytest.TempPathFactory, endless_checkpoint: Path, held_worker: HeldProcess
) -> Iterator[RunningPage]:
    arguments = ("--model", str(endless_checkpoint))
    page = RunningPage(
        tmp_path_factory.mktemp("page"), arguments, environment=held_worker.environment
    ).start()
    yield page
    page.stop()


@pytest.fixture
def visitor(visit: Callable[..., Visitor], endless: RunningPage) -> Visitor:
    return visit(endless).wait_until_ready()


def test_stop_pressed_before_the_question_is_accepted_stops_that_question(visitor: Visitor) -> None:
    visitor.longest(ENDLESS_TOKENS)
    for number in (1, 2):  # in a new chat, and in one with an earlier answer
        visitor.write("Tell me a very long story.")
        visitor.page.evaluate("() => { loop.submit(); loop.act('stop'); }")
        visitor.page.wait_for_function(
            "count => document.querySelectorAll('#thread .question').length === count", arg=number
        )
        assert visitor.wait_for_end() == "stopped"


def test_stop_ends_the_answer_and_keeps_what_had_come(visitor: Visitor, endless: RunningPage) -> None:
    visitor.longest(ENDLESS_TOKENS)
    visitor.ask("Tell me a long story.")
    visitor.wait_for_text()
    visitor.page.click("#stop")
    assert visitor.wait_for_end() == "stopped"
    assert "Stopped" in visitor.reply.locator(".ending").inner_text()
    (answer,) = endless.answers(visitor.conversation)
    assert answer["finish_reason"] == "stopped"
    assert len(answer["text"]) > 3
    assert answer["text"] == visitor.raw()


def test_escape_stops_too(visitor: Visitor) -> None:
    visitor.longest(ENDLESS_TOKENS)
    visitor.ask("Tell me a long story.")
    visitor.wait_for_text()
    visitor.page.keyboard.press("Escape")
    assert visitor.wait_for_end() == "stopped"


def test_escape_closes_the_settings_before_it_stops_and_the_focus_goes_back(visitor: Visitor) -> None:
    visitor.longest(ENDLESS_TOKENS)
    visitor.ask("Tell me a very long story.")
    visitor.page.focus('.top [data-do="drawer"]')
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_function("() => document.querySelector('#drawer').contains(document.activeElement)")
    visitor.page.keyboard.press("Escape")
    assert visitor.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Settings"
    assert visitor.page.locator("#composer").get_attribute("data-busy") == "yes"
    visitor.page.keyboard.press("Escape")
    assert visitor.wait_for_end() == "stopped"


def test_reloading_in_mid_answer_stops_it_and_offers_to_retry(visitor: Visitor, endless: RunningPage) -> None:
    visitor.longest(ENDLESS_TOKENS)
    visitor.ask("Tell me a very long story.")
    visitor.wait_for_text()
    conversation = visitor.conversation
    visitor.page.reload()
    visitor.page.wait_for_selector('#thread .reply[data-state="stopped"]')
    assert "closed or reloaded" in visitor.reply.locator(".ending").inner_text()
    (answer,) = endless.answers(conversation)
    assert answer["finish_reason"] == "stopped" and answer["text"]
    visitor.longest(20)
    visitor.reply.locator('.ending [data-do="retry"]').click()
    visitor.page.wait_for_selector("#thread .reply .count")
    visitor.wait_for_end()
    assert len(endless.answers(conversation)) == 2


def test_a_second_tab_sees_an_answer_end_that_the_first_one_streams(
    visit: Callable[..., Visitor], visitor: Visitor, endless: RunningPage
) -> None:
    visitor.longest(ENDLESS_TOKENS)
    visitor.ask("Tell both of us")
    visitor.wait_for_text()
    other = visit(endless, beside=visitor)
    other.go(f"?c={visitor.conversation}")
    other.page.wait_for_selector("#thread .reply")
    assert other.reply.get_attribute("data-state") == "running"
    other.write("May I ask, too?")
    other.page.press("#draft", "Enter")
    assert "being answered right now" in other.notice()
    assert other.page.input_value("#draft") == "May I ask, too?"
    visitor.page.click("#stop")
    visitor.wait_for_end()
    other.page.wait_for_selector('#thread .reply:not([data-state="running"])')
    assert other.raw() == visitor.raw()
    assert len(endless.questions(visitor.conversation)) == 1


def test_a_worker_killed_in_mid_answer_is_told_and_the_next_question_works(
    visitor: Visitor, endless: RunningPage, held_worker: HeldProcess
) -> None:
    visitor.longest(ENDLESS_TOKENS)
    visitor.ask("Tell me a very long story.")
    visitor.wait_for_text()
    (worker,) = endless.worker_ids()
    with held_worker.held():
        os.kill(worker, signal.SIGKILL)
        assert visitor.wait_for_end() == "failed"
        words = visitor.reply.locator(".ending").inner_text()
        assert "ended while it was answering" in words and "Retry" in words
        (answer,) = endless.answers(visitor.conversation)
        assert answer["finish_reason"] == "failed" and answer["error"].startswith("died: ") and answer["text"]
        waiting = "/^The model is (restarting|starting|loading)/"
        says = f"selector => {waiting}.test(document.querySelector(selector)?.innerText)"
        visitor.page.wait_for_function(says, arg="#state .words")
        assert visitor.page.locator("#state").get_attribute("data-tone") == "waiting"
        visitor.longest(20)
        visitor.ask("Are you back?")
        visitor.page.wait_for_function(says, arg="#thread .reply.last .phase")
    assert visitor.wait_for_end() in ("stop", "length")
    visitor.wait_until_ready()
    assert visitor.page.locator("#state .words").inner_text() == "Ready"
    assert len(endless.answers(visitor.conversation)) == 2


def test_a_page_that_is_killed_keeps_what_had_come(
    visit: Callable[..., Visitor], endless_checkpoint: Path, tmp_path: Path
) -> None:
    page = RunningPage(tmp_path / "page", ("--model", str(endless_checkpoint))).start()
    try:
        visitor = visit(page).wait_until_ready()
        visitor.longest(ENDLESS_TOKENS)
        visitor.ask("Tell me a very long story.")
        visitor.wait_for_text()
        conversation = visitor.conversation
        wait_for(lambda: bool(page.answers(conversation)[0]["text"]))
        page.crash()
        assert page.answers(conversation)[0]["finish_reason"] == "running"
        visitor.page.goto("about:blank")  # a tab that stays loads itself anew, just while the test does
        page.start()
        visitor.go(f"?c={conversation}")
        visitor.page.wait_for_selector('#thread .reply[data-state="interrupted"]')
        assert "Interrupted" in visitor.reply.locator(".ending").inner_text()
        assert visitor.raw() == page.answers(conversation)[0]["text"] != ""
    finally:
        page.stop()
