"""What a person does with their own chats in the browser: judge, correct, order, find, take along."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from tests.browser.running_page import RunningPage, example_question
from tests.browser.visitor import Visitor, choose

CHATS = "document.querySelectorAll('#chats .chat').length"


def begin(visitor: Visitor, text: str, *files: Path) -> str:
    """A new chat with one short answer; its id."""
    visitor.page.click("[data-do=new]")
    visitor.longest(6)
    visitor.ask(text, *files)
    visitor.wait_for_end()
    return visitor.conversation


def test_a_wrong_answer_gets_reasons_a_note_and_the_right_answer_beside_it(
    visitor: Visitor, running: RunningPage
) -> None:
    page = visitor.page
    conversation = begin(visitor, "What stands here?", example_question()[0])
    wrong = visitor.raw()
    visitor.reply.get_by_label("A bad answer").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#judge[open]")
    page.get_by_role("checkbox", name="made up").check()
    page.get_by_label("Note").fill("There is no such thing.")
    page.get_by_role("button", name="Write the right answer").last.click()
    page.wait_for_selector("#correct[open]")
    page.wait_for_function("document.querySelector('#correct .seen img').naturalWidth > 100")
    picture, writing = (
        page.locator("#correct .seen").bounding_box(),
        page.locator("#correct-text").bounding_box(),
    )
    assert picture and writing and picture["x"] + picture["width"] <= writing["x"], "they stand side by side"
    assert page.locator("#correct-given").inner_text().strip() == wrong.strip()
    page.fill("#correct-text", "A **blue** square.")
    page.keyboard.press("Escape")  # what was written is still there
    visitor.reply.get_by_label("Write the right answer").click()
    assert page.locator("#correct-text").input_value() == "A **blue** square."
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#thread .right strong:text('blue')")
    assert page.locator("#correct[open]").count() == 0
    left, right = page.locator("#thread .given").bounding_box(), page.locator("#thread .right").bounding_box()
    assert left and right and left["x"] + left["width"] <= right["x"]
    assert "made up" in visitor.reply.locator(".verdict").inner_text()
    (kept,) = running.answers(conversation)
    assert (kept["text"], kept["correction"], kept["rating"]) == (wrong, "A **blue** square.", "down")
    assert kept["note"] == "There is no such thing." and kept["reasons"] == 2
    page.reload()
    page.wait_for_selector("#thread .right strong:text('blue')")
    assert visitor.faults == [] and visitor.external == []


def test_a_chat_is_kept_out_of_training_from_its_first_question(
    visitor: Visitor, running: RunningPage
) -> None:
    page = visitor.page
    switch = page.get_by_role("switch", name="Keep out of training")
    assert "may be used for training" in page.locator("#stored").inner_text()
    switch.focus()
    page.keyboard.press("Space")
    assert switch.get_attribute("aria-checked") == "true"
    assert "for you alone" in page.locator("#stored").inner_text()
    visitor.longest(6)
    visitor.ask("A private matter")
    visitor.wait_for_end()
    secret = "SELECT is_private FROM conversations WHERE id = ?"
    assert running.rows(secret, visitor.conversation) == [{"is_private": 1}]
    assert switch.get_attribute("aria-checked") == "true"
    page.locator('#chats [aria-label="Not used for training"]').wait_for()
    private = visitor.conversation
    begin(visitor, "An open matter")
    assert switch.get_attribute("aria-checked") == "false"
    assert running.rows(secret, visitor.conversation) == [{"is_private": 0}]
    page.locator("#chats .open", has_text="A private matter").click()
    page.wait_for_selector('#private[aria-checked="true"]')
    switch.click()
    page.locator('#chats [aria-label="Not used for training"]').wait_for(state="detached")
    assert running.rows(secret, private) == [{"is_private": 0}]
    assert visitor.faults == []


_WATCH_SOUGHT = """
() => {
  window.sought = [];
  const look = () => window.sought.push(document.querySelector("#thread article.sought .bubble")?.textContent);
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributeFilter: ["class"] });
}
"""


def test_chats_are_pinned_tagged_archived_and_found_with_the_words_marked(visitor: Visitor) -> None:
    page = visitor.page
    for text in ("About a zebra", "About an okapi"):
        begin(visitor, text)
    zebra = page.locator("#chats .chat", has_text="About a zebra")
    zebra.locator(".open").focus()  # from here on by the keyboard alone
    for key in ("Tab", "Enter", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#chats .days h2:text('Pinned')")
    there = "document.activeElement.matches('[data-pinned] [data-do=chat-menu]')"
    assert page.evaluate(there), "the keyboard stays on the line"
    assert page.locator("#chats .chat .open").first.inner_text() == "About a zebra"
    choose(visitor, zebra, "Tags")
    page.fill("#new-tag", "stripes")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    zebra.locator(".tag", has_text="stripes").wait_for()
    page.select_option("#of-tag", "stripes")
    page.wait_for_function(f"() => {CHATS} === 1")
    page.select_option("#of-tag", "")
    page.wait_for_function(f"() => {CHATS} === 2")
    choose(visitor, zebra, "Archive")
    page.wait_for_function(f"() => {CHATS} === 1")
    page.get_by_role("button", name="Archived conversations").click()
    zebra.wait_for()
    assert page.locator("#chats .chat").count() == 1
    page.get_by_role("button", name="Archived conversations").click()
    page.fill("#search", "zebr")
    page.wait_for_selector("#chats .chat mark:text('zebra')")
    assert zebra.get_by_label("Archived").count() == 1
    page.evaluate(_WATCH_SOUGHT)
    zebra.locator(".open").click()
    page.wait_for_function("window.sought.includes('About a zebra')")  # it is tinted for a moment only
    assert visitor.faults == []


def test_a_chat_is_taken_along_as_files_and_put_in_again(
    visitor: Visitor, running: RunningPage, tmp_path: Path, visit: Callable[..., Visitor]
) -> None:
    word = f"w{uuid4().hex[:8]}"
    original = begin(visitor, f"What is {word}?", example_question()[0])
    answer, page = visitor.raw(), visitor.page
    chat = page.locator("#chats .chat", has_text=word)
    files = {}
    for kind, deed in (("zip", "Markdown with pictures"), ("json", "JSON, to import again")):
        with page.expect_download() as fetched:
            choose(visitor, chat, deed)
        assert fetched.value.suggested_filename == f"What-is-{word}.{kind}"
        files[kind] = tmp_path / f"chat.{kind}"
        fetched.value.save_as(files[kind])
    with zipfile.ZipFile(io.BytesIO(files["zip"].read_bytes())) as packed:
        assert packed.testzip() is None and word in packed.read("conversation.md").decode()
        assert any(name.startswith("images/") for name in packed.namelist())
    assert json.loads(files["json"].read_bytes())["turns"][1]["text"] == answer

    other = visit(running)
    with other.page.expect_file_chooser() as chooser:
        other.page.click("[data-do=import]")
    chooser.value.set_files(str(files["json"]))
    other.page.locator("#chats .chat", has_text=word).wait_for()
    other.page.wait_for_function("document.querySelector('#thread .picture img')?.naturalWidth > 10")
    assert other.raw() == answer and other.conversation != original
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": "llava-loop-conversation", "version": 1, "turns": [{"role": "user"}]}')
    other.page.set_input_files("#import-file", str(broken))
    assert "broken.json" in other.notice() and "turns[0]" in other.notice()
    assert other.page.locator("#chats .chat").count() == 1
    assert visitor.faults == []


def test_one_walks_between_versions_and_goes_on_from_any(visitor: Visitor, running: RunningPage) -> None:
    page = visitor.page
    conversation = begin(visitor, "What is this?")
    visitor.reply.locator('.tools [data-do="retry"]').click()
    page.wait_for_selector("#thread .reply .count")
    visitor.wait_for_end()
    first, second = (row["id"] for row in running.answers(conversation))
    visitor.reply.get_by_label("Earlier version").click()
    page.wait_for_function("() => document.querySelector('#thread .reply .count').textContent === '1/2'")
    visitor.ask("And on from the first?")
    visitor.wait_for_end()
    assert running.questions(conversation)[-1]["parent_id"] == first
    reply = page.locator("#thread .reply").first
    reply.hover()
    reply.get_by_label("Later version").click()
    page.wait_for_function("() => document.querySelectorAll('#thread article').length === 2")
    visitor.ask("And on from the second?")
    visitor.wait_for_end()
    assert running.questions(conversation)[-1]["parent_id"] == second
    reply.hover()
    reply.get_by_label("Earlier version").click()
    page.wait_for_selector("#thread .bubble:text('And on from the first?')")
    assert page.locator("#thread .bubble", has_text="from the second").count() == 0
    assert visitor.faults == []
