"""Where people must sign in: our own form, a sentence for who errs or must wait, and nothing for who has not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.browser.running_page import RunningPage, example_question
from tests.browser.visitor import Visitor, new_context

WRONG = "do not belong together"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Iterator[RunningPage]:
    logins = ("--auth", "ann:one", "--admin", "root:two")
    page = RunningPage(tmp_path_factory.mktemp("guarded"), ("--model", str(tiny_checkpoint), *logins)).start()
    yield page
    page.stop()


def test_a_person_signs_in_with_the_form_and_out_again(browser: Browser, guarded: RunningPage) -> None:
    context = new_context(browser, viewport={"width": 390, "height": 844})
    page = context.new_page()
    visitor = Visitor(page, guarded.url)
    page.goto(guarded.url)
    page.fill("[name=username]", "ann")
    said: list[str] = []
    while len(said) < 6 or (
        len(said) < 12 and WRONG in said[-1]
    ):  # who guesses slowly is not put off at once
        page.fill("[name=password]", "guess")
        page.press("[name=password]", "Enter")
        page.wait_for_function("document.querySelector('#refusal').textContent !== ''")
        said.append(page.locator("#refusal").inner_text())
        page.evaluate("document.querySelector('#refusal').textContent = ''")
    assert all(WRONG in words for words in said[:5]) and "the next try is possible in" in said[-1]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.fill("[name=username]", "root")
    page.fill("[name=password]", "two")
    page.click("#sign-in button")
    page.wait_for_selector("html[data-loop=ready]")
    visitor.wait_until_ready()
    page.click('.top [data-do="side"]')
    page.wait_for_selector("#account:not([hidden])")
    assert page.locator("#account .who").inner_text() == "root"
    page.click("#account a")
    page.wait_for_selector("#sign-in")
    assert visitor.external == []
    context.close()


def test_who_has_not_signed_in_gets_nothing(guarded: RunningPage) -> None:
    picture = example_question()[0].read_bytes()
    with httpx.Client(base_url=guarded.url, timeout=180) as stranger:
        assert 'action="login"' in stranger.get("/").text
        assert stranger.post("/pictures", content=picture).status_code == 401
        assert stranger.get("/examples/scene-1.png").status_code == 404
        assert stranger.post("/gradio_api/queue/join", json={"data": [], "fn_index": 0}).status_code == 401
        assert stranger.get("/config").status_code == 401
        assert stranger.post("/login", data={"username": "root", "password": "two"}).status_code == 200
        assert stranger.get("/examples/scene-1.png").status_code == 200
        assert stranger.post("/pictures", content=picture).status_code == 200
