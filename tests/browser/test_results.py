"""From a run's results into the chat, through the page and a real worker: the adapter is loaded, chosen, asked,
compared and taken away again; and to who is no admin there is nothing but a model to choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.app.finished_run import JOB, OTHER, finish, write_base_and_adapters
from tests.app.test_worker_process import wait_for
from tests.browser.finished_page import FinishedPage, finished_page
from tests.browser.test_face import PHONE
from tests.browser.visitor import Visitor, new_context, toasted

NAME = "Corrected-colours"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedPage]:
    """One run of the model that is running, and one of a base that is gone."""
    folder = tmp_path_factory.mktemp("done")
    base = folder / "tiny"
    write_base_and_adapters(base, folder / "runs" / JOB / "result", folder / "runs" / OTHER / "result")
    with finished_page(folder, base) as page:
        page.add(finish(page.runs, JOB, "Corrected colours", base))
        page.add(finish(page.runs, OTHER, "Of another base", Path("/no/such/base")))
        assert page.worker.wait_until_ready(600).phase == "ready"
        yield page


@pytest.fixture
def sign_in(browser, done: FinishedPage) -> Iterator[Callable[..., Visitor]]:
    contexts = []

    def open_page(name: str, password: str, address: str = "", **context) -> Visitor:
        contexts.append(new_context(browser, **({"viewport": {"width": 1280, "height": 900}} | context)))
        page = contexts[-1].new_page()
        page.goto(done.url)
        page.fill("[name=username]", name)
        page.fill("[name=password]", password)
        page.click("#sign-in button")
        page.wait_for_selector("html[data-loop=ready]")
        return Visitor(page, done.url).go(address).wait_until_ready()

    yield open_page
    for context in contexts:
        context.close()


def results_of(page: Page, name: str) -> None:
    """Open a run in the training view, until its results stand there."""
    if page.locator('.room[data-side="closed"]').count():
        page.click(".opener")
    page.get_by_text(name).first.click()
    page.wait_for_selector("#results .outcome .deeds button")
    page.wait_for_selector("#results .pair-of-answers")


def ask(person: Visitor, done: FinishedPage, owner: str) -> str:
    """A question; the model that the log says answered it."""
    person.longest(8)
    person.ask("What is it?")
    assert person.wait_for_end() in ("stop", "length")
    answer = done.store.load(owner, person.conversation).shown[-1].answer
    assert answer is not None
    return answer.model


def test_what_was_learned_is_chatted_with_and_taken_away_again(
    done: FinishedPage, sign_in: Callable[..., Visitor]
) -> None:
    process = done.worker.process_id
    root = sign_in("root", "two", "?training")
    page = root.page
    results_of(page, "Corrected colours")
    assert page.locator("#results .share b").all_inner_texts() == ["25%", "75%"]
    assert page.locator("#results .pair-of-answers").count() == 4
    page.wait_for_function("document.querySelector('#results .picture img').naturalWidth === 48")
    page.click('#results [data-do="result-rows"][data-value="lost"]')
    page.wait_for_function("document.querySelectorAll('#results .pair-of-answers').length === 1")

    page.click("#results .ask-now")
    page.wait_for_function("document.querySelectorAll('#results .now .said[data-mark]').length === 2")
    base, tuned = page.locator("#results .now .said p").all_inner_texts()
    assert base != tuned and base and tuned
    assert NAME in page.locator("#results .now").inner_text()

    page.get_by_role("button", name="Chat with it").click()
    page.wait_for_selector('.room[data-view="chat"]')
    page.wait_for_function(f"document.querySelector('#which-model').value === '{NAME}'")
    assert ask(root, done, "user:root") == NAME
    page.select_option("#which-model", label="tiny")
    assert ask(root, done, "user:root") == "tiny"
    assert done.worker.process_id == process, "nothing was restarted for it"

    ann = sign_in("ann", "one")
    ann.page.wait_for_selector("#which-model:not([hidden])")
    ann.page.select_option("#which-model", NAME)
    assert ask(ann, done, "user:ann") == NAME
    page.click('#views [data-do="show-training"]')
    results_of(page, "Corrected colours")
    page.get_by_role("button", name="Unload").click()
    page.wait_for_selector('#results .deeds:not(:has([data-do="result-unload"]))')
    toasted(page, "is unloaded")
    assert f"{NAME} is not loaded any more" in ann.notice()
    assert ask(ann, done, "user:ann") == "tiny"
    assert not root.faults and not root.external and not ann.faults


def test_who_is_no_admin_finds_no_results(done: FinishedPage, sign_in: Callable[..., Visitor]) -> None:
    page = sign_in("ann", "one", "?training").page
    page.wait_for_timeout(1000)
    assert not page.locator("#results").is_visible()
    for event in ("show", "load", "state", "merge"):
        page.evaluate("([event, job]) => loop.results.say(event, { job })", [event, JOB])
    page.wait_for_timeout(1500)
    assert page.locator("#results .outcome").count() == 0 and done.client.models() == ("tiny",)
    assert not (done.runs / JOB / "merged").exists()
    for address in (f"pictures/{1}/0", "result.zip"):
        assert page.request.get(f"{done.url}training/results/{JOB}/{address}").status == 404


@pytest.mark.nightly
def test_a_base_that_is_gone_is_told_and_a_name_that_is_none_too(
    done: FinishedPage, sign_in: Callable[..., Visitor]
) -> None:
    page = sign_in("root", "two", "?training").page
    results_of(page, "Of another base")
    assert "trained on /no/such/base, but tiny is running" in page.locator("#results .note").inner_text()
    page.get_by_role("button", name="Switch to its base").click()
    page.wait_for_selector("#toast.failed")
    assert "/no/such/base is no longer there" in page.locator("#toast").inner_text()
    page.get_by_role("button", name="Put it on the Hub").click()
    page.fill('#to-hub [name="repo"]', "no name")
    page.fill('#to-hub [name="token"]', "hf_secret")
    page.get_by_role("button", name="Upload").click()
    page.wait_for_function("document.querySelector('#toast').textContent.includes('NAME/MODEL')")
    assert page.input_value('#to-hub [name="token"]') == ""
    assert done.worker.state.phase == "ready"


def test_on_a_phone_nothing_is_wider_than_the_screen(sign_in: Callable[..., Visitor]) -> None:
    page = sign_in("root", "two", "?training", **PHONE).page
    results_of(page, "Corrected colours")
    wide = (
        "() => [...document.querySelectorAll('#results *')].filter((each) => !each.closest('.sorts')"
        " && each.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert page.evaluate(wide) == 0


@pytest.mark.nightly
def test_while_a_run_has_its_place_a_question_waits_and_is_answered_when_the_model_is_back(
    done: FinishedPage, sign_in: Callable[..., Visitor]
) -> None:
    name = done.parts.results.load(JOB)
    person = sign_in("ann", "one")
    person.longest(8)
    person.page.wait_for_selector("#which-model:not([hidden])")
    person.page.select_option("#which-model", name)
    done.worker.pause("run", lambda: "The model rests while “Corrected colours” is trained")
    try:
        wait_for(lambda: done.watch.now.paused and not done.watch.now.models)
        person.page.get_by_text("The model rests while").first.wait_for()
        person.page.wait_for_timeout(3000)  # a status or two later
        person.ask("What is it?")
        person.page.locator("#thread .phase").get_by_text("The model rests while").wait_for()
        assert person.reply.get_attribute("data-state") == "running"
    finally:
        done.worker.go_on("run")
    assert person.wait_for_end() in ("stop", "length")
    answer = done.store.load("user:ann", person.conversation).shown[-1].answer
    assert answer is not None and answer.model == name, (
        "what was chosen stays chosen while the worker is away"
    )
    done.parts.results.unload(JOB)
