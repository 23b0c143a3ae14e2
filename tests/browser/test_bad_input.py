"""What goes wrong is said in words, and nothing that a person wrote is lost by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.hostile_pictures import animated, png_header
from tests.browser.running_page import RunningPage
from tests.browser.visitor import Visitor


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, ""),
        ("empty.png", b"", ""),
        ("words.png", b"just some words", ""),
        ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("dancing.gif", animated("GIF"), "animated"),
        ("vast.png", png_header(60_000, 60_000), "40 million pixels"),
    ],
    ids=["broken", "empty", "words", "svg", "animated", "60000x60000"],
)
def test_a_file_that_is_no_picture_is_refused_and_the_draft_stays(
    visitor: Visitor, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    visitor.write("My draft")
    visitor.add(file)
    words = visitor.notice()
    assert words.endswith(".") and said in words and len(words) > 20
    assert visitor.page.input_value("#draft") == "My draft"
    assert visitor.page.locator(".chip").count() == 0


@pytest.mark.parametrize("num_bytes", [40_000_000, 200_000_000])
def test_a_file_that_is_too_large_is_refused_with_the_limit(
    visitor: Visitor, tmp_path: Path, num_bytes: int
) -> None:
    file = tmp_path / "large.png"
    with file.open("wb") as large:
        large.truncate(num_bytes)
    visitor.write("My draft")
    visitor.add(file)
    assert "15 MB" in visitor.notice()
    assert visitor.page.input_value("#draft") == "My draft"


@pytest.mark.parametrize("text", ["", "   \n  "])
def test_an_empty_message_is_not_sent_and_a_hint_says_why(visitor: Visitor, text: str) -> None:
    visitor.write(text)
    visitor.page.press("#draft", "Enter")
    assert "Nothing to send" in visitor.notice()
    assert visitor.page.locator("#thread article").count() == 0


def test_a_nul_character_is_refused_and_the_draft_stays(visitor: Visitor) -> None:
    visitor.write("a\0b")
    visitor.page.press("#draft", "Enter")
    assert "NUL" in visitor.notice()
    assert visitor.page.locator("#composer").get_attribute("data-busy") == "no"
    assert visitor.page.input_value("#draft") == "a\0b"
    assert visitor.page.locator("#thread article").count() == 0


@pytest.mark.parametrize(
    "text", ["مرحبا بالعالم", "👩‍👩‍👧‍👦 🎨", "### Human: <image> </s> <script>alert(1)</script>"]
)
def test_any_writing_is_shown_and_kept_as_it_was_typed(
    visitor: Visitor, running: RunningPage, text: str
) -> None:
    visitor.longest(8)
    visitor.ask(text)
    visitor.wait_for_end()
    assert visitor.page.locator("#thread .bubble").inner_text() == text
    assert running.questions(visitor.conversation)[0]["text"] == text
    assert visitor.faults == []


def test_a_message_that_is_too_long_is_refused_with_both_counts(
    visitor: Visitor, running: RunningPage
) -> None:
    visitor.ask("word " * 20_000)
    assert visitor.wait_for_end() == "failed"
    words = visitor.reply.locator(".ending").inner_text()
    assert "2,048" in words and "Nothing was cut" in words
    assert len(running.questions(visitor.conversation)[0]["text"]) == 100_000
    assert visitor.reply.locator('[data-do="edit-question"]').is_visible()
    visitor.longest(8)
    visitor.ask("short")  # what was refused does not stand in the way of what comes after
    assert visitor.wait_for_end() in ("stop", "length")


def test_a_conversation_that_is_too_long_offers_both_ways_on(visitor: Visitor, running: RunningPage) -> None:
    # Drawn at random, since the likeliest bytes may make no character at all, and what is empty is not asked along.
    visitor.choose("temperature", 2)
    visitor.longest(40)
    for number in range(3):
        visitor.ask(f"{number} " + "many words " * 60)
        assert visitor.wait_for_end() in ("stop", "length", "failed")
    for number in range(3, 6):
        if visitor.reply.get_attribute("data-state") == "failed":
            break
        visitor.ask(f"{number} " + "many words " * 60)
        visitor.wait_for_end()
    assert visitor.reply.get_attribute("data-state") == "failed"
    assert "has become too long" in visitor.reply.locator(".ending").inner_text()
    conversation = visitor.conversation
    visitor.reply.get_by_role("button", name="Go on without the oldest turns").click()
    visitor.page.wait_for_selector("#thread .reply .count")
    assert visitor.wait_for_end() in ("stop", "length")
    assert "left out" in visitor.notice()
    assert running.answers(conversation)[-1]["finish_reason"] in ("stop", "length")
    visitor.reply.get_by_label("Earlier version").click()
    visitor.page.wait_for_selector("#thread .reply.last .ending")
    visitor.reply.get_by_role("button", name="Start a new chat").click()
    assert visitor.page.locator("#thread article").count() == 0
    assert "many words" in visitor.page.input_value("#draft")


def test_a_model_that_cannot_be_loaded_is_told_on_the_page(
    visit: Callable[..., Visitor], tmp_path: Path
) -> None:
    page = RunningPage(tmp_path / "page", ("--model", str(tmp_path / "nowhere"))).start()
    try:
        visitor = visit(page)
        visitor.page.wait_for_selector('#state[data-tone="failed"]')
        assert "nowhere" in visitor.page.locator("#state").inner_text()
        visitor.ask("Anybody there?")
        assert visitor.wait_for_end() == "failed"
        assert visitor.page.locator("#thread .bubble").inner_text() == "Anybody there?"
        assert visitor.reply.locator('[data-do="retry"]').first.is_visible()
    finally:
        page.stop()
