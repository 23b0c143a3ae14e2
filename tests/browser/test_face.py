"""What the page looks like and loads: nothing from elsewhere, usable on a phone, light and dark, by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.browser.running_page import RunningPage, example_question
from tests.browser.visitor import Visitor

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def test_the_page_loads_without_a_request_to_elsewhere_and_without_an_error(visitor: Visitor) -> None:
    visitor.page.wait_for_timeout(1500)
    assert visitor.external == []
    assert visitor.faults == []
    assert visitor.page.locator(".example img").count() >= 3
    visitor.page.wait_for_function(
        "[...document.querySelectorAll('.example img')].every(each => each.complete && each.naturalWidth > 0)"
    )


def test_it_says_what_the_model_knows_and_how_the_worker_is(visitor: Visitor) -> None:
    assert visitor.page.locator("#state .words").inner_text() == "Ready"
    assert visitor.page.locator("#send").is_visible() and not visitor.page.locator("#stop").is_visible()
    assert "random" in visitor.page.locator("#about").inner_text()


def test_a_whole_turn_makes_no_request_to_elsewhere_either(visitor: Visitor) -> None:
    visitor.longest(30)
    visitor.ask("Look", example_question()[0])
    visitor.wait_for_end()
    assert visitor.external == [] and visitor.faults == []


def test_a_phone_shows_one_thing_at_a_time_and_nothing_sticks_out(
    visit: Callable[..., Visitor], running: RunningPage
) -> None:
    visitor = visit(running, **PHONE).wait_until_ready()
    page = visitor.page
    assert not page.locator(".side").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visitor.longest(30)
    visitor.ask("Hello from a phone", example_question()[0])
    visitor.wait_for_end()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for selector in ("#draft", "#send", '.top [data-do="drawer"]'):
        box = page.locator(selector).bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844
    page.click('.top [data-do="side"]')
    page.wait_for_selector('.room[data-side="open"]')
    page.locator("#chats .open").first.click()
    page.wait_for_selector('.room[data-side="closed"]')
    assert page.locator("#thread .question .bubble").inner_text() == "Hello from a phone"


def test_dark_follows_the_system_and_can_be_chosen(
    visit: Callable[..., Visitor], running: RunningPage
) -> None:
    visitor = visit(running, color_scheme="dark")
    brightness = "() => getComputedStyle(document.querySelector('.room')).backgroundColor.match(/\\d+/g).map(Number)[0]"
    assert visitor.page.evaluate(brightness) < 60
    visitor.page.click("[data-do=theme]")
    visitor.page.wait_for_function(f"({brightness})() > 200")
    visitor.page.reload()
    visitor.page.wait_for_selector("html[data-loop=ready]")
    assert visitor.page.evaluate(brightness) > 200


def test_shift_enter_breaks_the_line_and_enter_sends(visitor: Visitor, running: RunningPage) -> None:
    visitor.longest(8)
    visitor.page.click("#draft")
    visitor.page.keyboard.type("one")
    visitor.page.keyboard.press("Shift+Enter")
    visitor.page.keyboard.type("two")
    assert visitor.page.locator("#thread article").count() == 0
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#thread .reply")
    visitor.wait_for_end()
    assert running.questions(visitor.conversation)[0]["text"] == "one\ntwo"


def test_settings_are_used_logged_and_remembered(visitor: Visitor, running: RunningPage) -> None:
    page = visitor.page
    page.click('.top [data-do="drawer"]')
    page.fill('#choices [name="system_prompt"]', "Answer like a pirate.")
    page.fill('#choices [name="seed"]', "42")
    page.fill('#choices [name="max_new_tokens"]', "12")
    visitor.choose("temperature", 0.5)
    page.keyboard.press("Escape")
    visitor.ask("Ahoy")
    visitor.wait_for_end()
    (answer,) = running.answers(visitor.conversation)
    assert answer["system_prompt"] == "Answer like a pirate."
    assert (answer["seed"], answer["max_new_tokens"], answer["temperature"]) == (42, 12, 0.5)
    assert answer["num_completion_tokens"] <= 12
    page.reload()
    page.wait_for_selector("html[data-loop=ready]")
    assert page.input_value('#choices [name="seed"]') == "42"


def test_a_picture_can_be_pasted_dropped_drawn_and_photographed(visitor: Visitor) -> None:
    page = visitor.page
    make_file = (
        "async (kind) => { const picture = await (await fetch('examples/' + kind)).blob(); "
        "const data = new DataTransfer(); "
        "data.items.add(new File([picture], 'a.png', {type: 'image/png'})); return data; }"
    )
    data = page.evaluate_handle(make_file, example_question()[0].name)
    page.evaluate(
        "data => document.dispatchEvent("
        "new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}))",
        data,
    )
    page.wait_for_function("() => document.querySelectorAll('.chip[data-sending=no]').length === 1")
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#scroll", kind, {"dataTransfer": data})
    page.wait_for_function("() => document.querySelectorAll('.chip[data-sending=no]').length === 2")
    page.click('.composer [data-do="draw"]')
    page.click("#canvas", position={"x": 120, "y": 120})
    page.click('[data-do="keep-sketch"]')
    page.wait_for_function("() => document.querySelectorAll('.chip[data-sending=no]').length === 3")
    page.click('.composer [data-do="camera"]')
    page.locator('[data-do="shoot"]:not([disabled])').click()
    page.wait_for_function("() => document.querySelectorAll('.chip[data-sending=no]').length === 4")
    page.get_by_label("Remove picture 2").click()
    assert page.locator(".chip").count() == 3


def test_an_enlarged_picture_is_the_whole_one(visitor: Visitor, tmp_path: Path) -> None:
    from PIL import Image

    large = tmp_path / "large.png"
    Image.new("RGB", (900, 600), "teal").save(large)
    visitor.longest(8)
    visitor.ask("Large", large)
    visitor.wait_for_end()
    small = visitor.page.locator("#thread .picture img")
    assert small.evaluate("image => image.naturalWidth") <= 320
    small.click()
    visitor.page.wait_for_function("() => document.querySelector('#light img').naturalWidth === 900")
