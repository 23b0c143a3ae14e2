"""What is sent, stopped, left and shown at the same time: each answer lands where it was asked, and nothing waits for
ever."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.running_page import RunningPage
from tests.browser.visitor import Visitor


def test_who_moves_on_right_after_sending_is_not_pulled_back(visitor: Visitor) -> None:
    visitor.longest(20)
    visitor.write("Left behind")
    visitor.page.evaluate("() => { loop.submit(); loop.act('new'); }")
    visitor.page.get_by_role("button", name="Left behind", exact=True).wait_for()
    assert "c=" not in visitor.page.url
    assert visitor.page.locator("#thread article").count() == 0
    assert visitor.page.input_value("#draft") == ""
    assert visitor.page.locator("#send").is_visible() and not visitor.page.locator("#stop").is_visible()


def test_a_request_that_nobody_answers_goes_out_again_and_then_frees_the_draft(
    visitor: Visitor, running: RunningPage
) -> None:
    visitor.longest(8)
    visitor.page.evaluate("() => { loop.patience = 300; loop.heard = []; loop.told = loop.say; }")
    visitor.page.evaluate("() => { loop.say = (event, data) => loop.heard.push([event, data.key]); }")
    visitor.write("Into the void")
    visitor.page.press("#draft", "Enter")
    assert "did not take this" in visitor.notice()
    first, second = visitor.page.evaluate("loop.heard.filter(([event]) => event === 'turn')")
    assert first == second
    assert visitor.page.input_value("#draft") == "Into the void"
    visitor.page.evaluate("() => { loop.say = loop.told; loop.patience = 12000; }")
    visitor.page.press("#draft", "Enter")
    visitor.page.wait_for_selector("#thread .question")
    visitor.wait_for_end()
    assert len(running.questions(visitor.conversation)) == 1


def test_nothing_is_sent_while_the_program_is_silent(visitor: Visitor) -> None:
    visitor.page.evaluate("() => { loop.lost = true; }")
    visitor.write("Anybody?")
    visitor.page.evaluate("() => { loop.lost = true; loop.submit(); }")
    assert "no connection" in visitor.notice()
    assert visitor.page.input_value("#draft") == "Anybody?"
    assert visitor.page.locator("#composer").get_attribute("data-busy") == "no"


def test_an_address_of_a_conversation_that_is_gone_leads_to_a_new_chat(visitor: Visitor) -> None:
    visitor.go("?c=nothing-of-the-kind")
    assert visitor.notice()
    visitor.page.wait_for_function("() => loop.conversation === null && !location.search")
    assert visitor.page.locator("#welcome").is_visible()
    assert visitor.page.locator("#notice").is_visible()


def test_an_example_clicked_twice_is_asked_once_and_leaves_the_draft_alone(
    visitor: Visitor, running: RunningPage
) -> None:
    visitor.longest(8)
    visitor.write("Not sent yet")
    visitor.page.dblclick(".example >> nth=0")
    visitor.page.wait_for_selector("#thread .question .picture")
    visitor.wait_for_end()
    (asked,) = running.questions(visitor.conversation)
    assert len(running.rows("SELECT * FROM turn_pictures WHERE turn_id = ?", asked["id"])) == 1
    assert visitor.page.input_value("#draft") == "Not sent yet"


def test_text_pasted_with_a_picture_of_itself_stays_text_and_ten_pictures_are_the_most(
    visitor: Visitor,
) -> None:
    paste = (
        "async ([text, count]) => { "
        "const blob = await (await fetch(document.querySelector('.example img').src)).blob(); "
        "const data = new DataTransfer(); if (text) data.setData('text/plain', text); "
        "for (let n = 0; n < count; n += 1) data.items.add(new File([blob], `${n}.png`, {type: 'image/png'})); "
        "const event = new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}); "
        "document.dispatchEvent(event); return event.defaultPrevented; }"
    )
    assert visitor.page.evaluate(paste, ["a cell of a table", 1]) is False
    assert visitor.page.locator(".chip").count() == 0
    assert visitor.page.evaluate(paste, ["", 11]) is True
    assert "at most 10 pictures" in visitor.notice()
    visitor.page.wait_for_function("() => document.querySelectorAll('.chip[data-sending=no]').length === 10")


def test_a_search_that_python_strips_and_a_browser_does_not_is_asked_once(visitor: Visitor) -> None:
    visitor.page.evaluate("() => { loop.asked = 0; loop.on('list', () => (loop.asked += 1)); }")
    visitor.page.fill("#search", "zebra\x1c")
    visitor.page.wait_for_selector(".no-chats >> text=zebra")
    visitor.page.wait_for_timeout(700)
    assert visitor.page.evaluate("loop.asked") == 1


def test_the_keyboard_stays_on_the_button_that_it_pressed(visitor: Visitor) -> None:
    focused = "() => document.activeElement.title"
    visitor.longest(8)
    visitor.ask("Hello")
    visitor.wait_for_end()
    for name in ("A good answer", "Answer again"):
        visitor.reply.get_by_label(name).focus()
        visitor.page.keyboard.press("Enter")
        visitor.page.wait_for_timeout(300)
        visitor.wait_for_end()
        visitor.page.wait_for_function(f"name => ({focused})() === name", arg=name)


def test_shapes_can_be_put_down_by_keyboard_without_the_cursor_in_the_picture(visitor: Visitor) -> None:
    ink = "() => [...document.querySelector('#canvas').getContext('2d').getImageData(208, 256, 1, 1).data].slice(0, 3)"
    visitor.page.click('.composer [data-do="draw"]')
    visitor.page.focus("#canvas")
    for key in ("ArrowLeft", "ArrowLeft", "Enter", "Tab"):
        visitor.page.keyboard.press(key)
    assert visitor.page.evaluate(ink) == [220, 38, 38]
    visitor.page.click('[data-do="keep-sketch"]')
    visitor.page.wait_for_selector('.chip[data-sending="no"]')


def test_on_a_phone_enter_breaks_the_line_and_what_lies_below_the_list_is_out_of_reach(
    visit: Callable[..., Visitor], running: RunningPage
) -> None:
    visitor = visit(running, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visitor.page.tap("#draft")
    visitor.page.keyboard.type("one")
    visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.type("two")
    assert visitor.page.input_value("#draft") == "one\ntwo"
    visitor.page.tap('.top [data-do="side"]')
    assert visitor.page.evaluate("document.querySelector('.stage').inert") is True
    visitor.page.keyboard.press("Escape")
    assert visitor.page.evaluate("document.querySelector('.stage').inert") is False
