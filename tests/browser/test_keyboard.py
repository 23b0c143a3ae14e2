"""The keyboard alone: what a card was opened from has the focus again when it is closed."""

from __future__ import annotations

from tests.browser.visitor import Visitor


def focused_on(visitor: Visitor, name: str) -> None:
    visitor.page.wait_for_function(
        "name => document.activeElement.getAttribute('aria-label') === name", arg=name
    )


def test_the_focus_comes_back_from_the_cards_of_an_answer(visitor: Visitor) -> None:
    visitor.longest(8)
    visitor.ask("Hello?")
    visitor.wait_for_end()
    page = visitor.page
    page.locator("#thread").get_by_role("button", name="A bad answer").focus()
    page.keyboard.press("Enter")
    page.locator("#judge[open]").wait_for()
    page.locator(
        '#thread .reply[data-rating="down"]'
    ).wait_for()  # the log has it, and the answer was put in anew
    page.keyboard.press("Escape")
    focused_on(visitor, "A bad answer")
    page.keyboard.press("Tab")
    focused_on(visitor, "Write the right answer")
    page.keyboard.press("Enter")
    page.locator("#correct-text:focus").wait_for()
    page.keyboard.type("Hello.")
    page.keyboard.press("Control+Enter")
    page.locator("#thread .right", has_text="Hello.").wait_for()
    focused_on(visitor, "Change the right answer")


def test_the_focus_comes_back_from_the_cards_of_a_chat_and_stays_in_the_list(visitor: Visitor) -> None:
    page = visitor.page
    visitor.longest(8)
    for question in ("One?", "Two?"):
        page.locator("[data-do=new]").click()
        visitor.ask(question)
        visitor.wait_for_end()
    newest = page.locator("#chats .chat", has_text="Two?")
    newest.locator(".open").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.locator("#ask-delete[open]").wait_for()
    page.keyboard.press("Escape")
    focused_on(visitor, "Rename, pin, tag and more")
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.locator("#ask-delete[open]").get_by_role("button", name="Delete").press("Enter")
    newest.wait_for(state="detached")
    page.wait_for_function("document.activeElement.closest('#chats .chat')?.innerText.includes('One?')")
