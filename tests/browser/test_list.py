"""The list of conversations: as many as somebody has, page by page, searched or not."""

from __future__ import annotations

from app.visitors import COOKIE, owner_of
from conversations.store import ConversationStore
from tests.browser.running_page import RunningPage
from tests.browser.visitor import Visitor

COUNT = "document.querySelectorAll('#chats .chat').length"


def fill(running: RunningPage, visitor: Visitor, count: int) -> None:
    """Conversations of this very visitor, written into the log past the page."""
    cookies = {each["name"]: each["value"] for each in visitor.page.context.cookies()}
    owner = owner_of(None, {COOKIE: cookies[COOKIE]})
    assert owner is not None
    store = ConversationStore.open(f"sqlite:///{running.folder / 'chats.db'}", running.folder / "pictures")
    for number in range(count):
        animal = "zebra" if number % 2 else "okapi"
        store.add_question(owner, store.create(owner).id, f"{animal} {number:03}")
    store.close()


def test_show_more_goes_on_to_the_oldest_one_also_in_a_search(visitor: Visitor, running: RunningPage) -> None:
    fill(running, visitor, 230)
    page = visitor.page
    page.reload()
    page.wait_for_function(f"() => {COUNT} === 50")
    page.locator("#chats .more").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => {COUNT} === 100")
    # the keyboard stands on the first line that came
    assert (
        page.evaluate("[...document.querySelectorAll('#chats .open')].indexOf(document.activeElement)") == 50
    )
    for shown in (150, 200, 230):
        page.locator("#chats .more").click()
        page.wait_for_function(f"() => {COUNT} === {shown}")
    assert page.locator("#chats .more").count() == 0
    assert page.locator("#chats .open").last.inner_text() == "okapi 000"
    visitor.longest(8)
    visitor.ask("A new one")  # a turn tells the first page only; what was shown stays
    visitor.wait_for_end()
    page.wait_for_function(f"() => {COUNT} === 231")
    page.fill("#search", "zebra")
    page.wait_for_function(
        f"() => {COUNT} === 50 && document.querySelector('#chats .open').textContent === 'zebra 229'"
    )
    for shown in (100, 115):
        page.locator("#chats .more").click()
        page.wait_for_function(f"() => {COUNT} === {shown}")
    assert page.locator("#chats .open").last.inner_text() == "zebra 001"
    assert visitor.faults == []
