"""The library's views in the browser, on a log that is there from the start: who sees them, the keys, a phone,
near-duplicates and a file brought in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from conversations.filters import Filters
from tests.app.library_log import BOB, SmallLog, answered, write
from tests.app.served_page import ServedPage, served
from tests.browser.test_face import PHONE
from tests.browser.visitor import new_context

LOGINS = {"logins": {"ann": "one"}, "admins": {"root": "two"}}


@pytest.fixture(scope="module")
def page_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with served(tmp_path_factory.mktemp("library"), **LOGINS) as serving:
        yield serving


@pytest.fixture
def log(page_served: ServedPage) -> SmallLog:
    """Written once; each test undoes or leaves alone what the others look at."""
    store = page_served.store
    found = store.curation.page(Filters(text="colour"))
    if not found:
        return write(store)
    (plain,) = store.curation.page(Filters(text="who"))
    return SmallLog(found[-1].id, plain.id, 0)


@pytest.fixture
def sign_in(browser, page_served: ServedPage) -> Iterator[Callable[..., Page]]:
    contexts = []

    def open_page(name: str, password: str, **context) -> Page:
        contexts.append(new_context(browser, **({"viewport": {"width": 1280, "height": 800}} | context)))
        page = contexts[-1].new_page()
        page.goto(page_served.url + "?library")
        page.fill("[name=username]", name)
        page.fill("[name=password]", password)
        page.click("#sign-in button")
        page.wait_for_selector("html[data-loop=ready]")
        page.goto(page_served.url + "?library")
        page.wait_for_selector("html[data-loop=ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()


def chosen(page: Page, answer: int) -> None:
    page.wait_for_selector(f'#desk .case[data-answer="{answer}"]')


def test_only_an_admin_sees_that_there_is_a_library(log: SmallLog, sign_in: Callable[..., Page]) -> None:
    root = sign_in("root", "two")
    root.wait_for_selector('.room[data-view="library"] .entry')
    assert root.locator(".entry").count() == 2 and "secret" not in root.locator("#library").inner_text()
    ann = sign_in("ann", "one")
    ann.wait_for_selector("#account:not([hidden])")  # the program has answered
    ann.wait_for_timeout(1000)
    assert not ann.locator("#views").is_visible() and not ann.locator("#library").is_visible()
    ann.evaluate("loop.curation.say('queue', {filters: {}, key: 'k'})")
    ann.wait_for_timeout(1000)
    assert ann.locator(".entry").count() == 0


def test_the_keys_move_decide_and_take_back_and_a_correction_is_not_lost(
    log: SmallLog, sign_in: Callable[..., Page], page_served: ServedPage
) -> None:
    page, curation = sign_in("root", "two"), page_served.store.curation
    chosen(page, log.plain)
    page.keyboard.press("j")
    chosen(page, log.wrong)
    assert page.locator("#desk mark.personal").inner_text() == "ann@example.org"
    page.keyboard.press("k")
    chosen(page, log.plain)
    page.keyboard.press("r")
    chosen(page, log.wrong)
    page.wait_for_selector("#toast:not([hidden]) [data-do=undo]:not([hidden])")
    assert curation.item(log.plain).state == "rejected"
    page.keyboard.press("u")
    page.wait_for_selector(f'#desk .case[data-answer="{log.plain}"][data-state="pending"]')
    assert curation.item(log.plain).state == "pending"
    page.keyboard.press("t")
    page.fill("#library-tagging [name=tags]", "people, easy")
    page.keyboard.press("Enter")
    page.wait_for_selector('#desk .tag:text("people")')
    assert curation.item(log.plain).tags == ("easy", "people")

    page.keyboard.press("e")
    page.fill("#desk .writing textarea", "A LLaVA.")
    page.locator(f'.entry[data-answer="{log.wrong}"] .pick').click()
    page.wait_for_selector('#toast .words:text("not saved yet")')
    assert page.input_value("#desk .writing textarea") == "A LLaVA."
    page.fill("#desk .writing textarea", "   ")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector('#toast.failed .words:text("empty")')
    page.fill("#desk .writing textarea", "A LLaVA.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector('#desk .text.right:text("A LLaVA.")')
    assert curation.item(log.plain).correction == "A LLaVA."


def test_an_answer_is_rated_with_keys_and_told_why(
    log: SmallLog, sign_in: Callable[..., Page], page_served: ServedPage
) -> None:
    page, curation = sign_in("root", "two"), page_served.store.curation

    def until(rating: str | None, reasons: tuple[str, ...], *notes: str) -> None:
        for _ in range(1800):
            item = curation.item(log.plain)
            if (item.rating, item.reasons) == (rating, reasons) and item.note in notes:
                return
            page.wait_for_timeout(100)
        raise AssertionError(item)

    chosen(page, log.plain)
    page.keyboard.press("b")
    page.wait_for_selector('#desk .case[data-rating="down"] [name="reason"]')
    page.keyboard.press("2")
    page.fill('#desk [name="note"]', "Not a model.")
    until("down", ("made_up",), "", "Not a model.")  # the note goes along where it was there in time
    page.wait_for_timeout(300)  # the answer was shown anew, and what is being written stays
    assert page.input_value('#desk [name="note"]') == "Not a model."
    page.keyboard.press("Enter")
    until("down", ("made_up",), "Not a model.")
    page.wait_for_selector(f'.entry[data-answer="{log.plain}"] .sign[data-rating="down"]')
    page.wait_for_selector("#toast [data-do=undo]:not([hidden])")
    page.keyboard.press("g")  # at once: what Enter is about to keep must not come after it
    page.wait_for_selector('#desk .case[data-rating="up"]')
    until("up", (), "Not a model.")
    page.wait_for_selector('#toast .words:text("Rated it up")')
    page.keyboard.press("u")
    page.wait_for_selector('#desk .case[data-rating="down"] [value="made_up"]:checked')
    page.click('#desk [data-do="library-rate"][data-value="down"]')  # what is pressed is taken back
    until(None, (), "")


def test_on_a_phone_one_thing_stands_at_a_time_and_nothing_sticks_out(
    log: SmallLog, sign_in: Callable[..., Page]
) -> None:
    page = sign_in("root", "two", **PHONE)
    page.wait_for_selector(".entry .pick")
    assert not page.locator("#desk").is_visible()
    page.locator(".entry .pick").first.click()
    chosen(page, log.plain)
    assert not page.locator("#entries").is_visible()
    page.click("[data-do=library-back]")
    assert page.locator("#entries").is_visible()
    for panel in ("groups", "export", "import", "trail", "review"):
        page.locator(f'#library [role=tab][data-value="{panel}"]').click()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, panel
        hidden = "each => Math.max(...each.map(panel => panel.scrollWidth - panel.clientWidth))"
        assert page.eval_on_selector_all(".panel", hidden) <= 0, panel
    page.click('.top [data-do="side"]')
    page.click('[data-do="show-chat"]')
    page.wait_for_selector('.room[data-view="chat"] #draft', state="attached")


def test_near_duplicates_are_thinned_out_and_a_file_is_brought_in(
    log: SmallLog, sign_in: Callable[..., Page], page_served: ServedPage, tmp_path: Path
) -> None:
    store = page_served.store
    twin = answered(store, BOB, "what <b>colour</b> is it", "Red.", "red")
    other = twin.id
    page = sign_in("root", "two")
    page.wait_for_selector(".entry")
    page.click('#library [role=tab][data-value="groups"]')
    page.locator(f'.member[data-answer="{other}"] [data-do=library-keep]').click()
    page.wait_for_selector('#groups .faint:text("No near-duplicates")')
    assert store.curation.item(log.wrong).state == "rejected"
    page.click("#toast [data-do=undo]")
    page.wait_for_selector("#groups .member")
    assert store.curation.item(log.wrong).state == "pending"

    record = {"conversations": [{"from": "human", "value": "Brought?"}, {"from": "gpt", "value": "Indeed."}]}
    (tmp_path / "train.json").write_text(json.dumps([record]))
    page.click('#library [role=tab][data-value="import"]')
    page.set_input_files("#library-file", str(tmp_path / "train.json"))
    page.wait_for_selector('#import-job[data-phase="done"]')
    (brought,) = store.curation.page(Filters(text="brought"))
    assert brought.answer == "Indeed."
    page.set_input_files("#library-file", str(tmp_path / "train.json"))
    page.wait_for_selector('#import-job[data-phase="failed"] .words:text("imported before")')
    store.delete(BOB, twin.conversation_id)  # the other tests see the log as it was
    store.delete("user:root", brought.conversation_id)
