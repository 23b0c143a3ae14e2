"""From a wrong answer to a corrected example in a data set, in the browser, with the real log and the real worker."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from uuid import uuid4

from playwright.sync_api import Page

from tests.browser.running_page import RunningPage, example_question
from tests.browser.visitor import Visitor, toasted


def ask(visitor: Visitor, *texts: str) -> None:
    """Each in a conversation of its own, with a picture."""
    for text in texts:
        visitor.page.keyboard.press("Control+k")
        visitor.longest(6)
        visitor.ask(text, example_question()[0])
        visitor.wait_for_end()


def ask_until_answered(visitor: Visitor) -> tuple[str, str]:
    """A question of this test alone and its answer: to words it was never taught the model may say nothing at all."""
    for _ in range(10):
        question = f"What stands here, {uuid4().hex[:8]}?"
        ask(visitor, question)
        if answer := visitor.raw():
            return question, answer
    raise AssertionError("ten questions, and no answer had a word in it")


def open_library(visitor: Visitor, words: str) -> Page:
    """The library, narrowed to what this test has asked."""
    page = visitor.page
    page.click('[data-do="show-library"]')
    page.fill('#filters [name="text"]', words)
    page.keyboard.press("Enter")
    return page


def numbered(page: Page, number: int) -> None:
    """Until the filters mean so many answers."""
    page.wait_for_function(
        "number => document.querySelector('#number').textContent === String(number)",
        arg=number,
    )


def said(page: Page, words: str) -> None:
    toasted(page, words)


def test_ones_own_conversation_is_opened_at_the_answer_and_back_leads_to_the_library(
    visitor: Visitor,
) -> None:
    question, _ = ask_until_answered(visitor)
    mine, turn = visitor.conversation, visitor.page.locator("#thread .reply").last.get_attribute("data-turn")
    ask(visitor, "Something else")
    page = open_library(visitor, question)
    page.wait_for_selector(f'#desk .case[data-answer="{turn}"] [data-do="library-open"]')
    page.keyboard.press("o")
    page.wait_for_selector(f'.room[data-view="chat"] #thread .reply[data-turn="{turn}"]')
    assert visitor.conversation == mine
    page.go_back()
    page.wait_for_selector('.room[data-view="library"] #desk .case')


def test_a_wrong_answer_becomes_a_corrected_example_in_an_export(
    visitor: Visitor, running: RunningPage, tmp_path: Path
) -> None:
    question, wrong = ask_until_answered(visitor)
    page = open_library(visitor, question)
    numbered(page, 1)
    page.wait_for_selector("#desk .case")
    assert page.locator("#desk .answer-text").inner_text().strip() == wrong.strip()
    page.wait_for_function("document.querySelector('#desk .plate img').naturalWidth > 100")
    page.keyboard.press("e")
    page.fill("#desk .writing textarea", "A blue circle and a red star.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector('#desk .text.right:text("A blue circle and a red star.")')
    page.keyboard.press("a")
    page.wait_for_selector('#desk .case[data-state="approved"]')
    assert page.locator("#desk .trail li").count() == 2

    page.click('[data-do="library-panel"][data-value="export"]')
    page.wait_for_selector("#rows .row-shown")
    assert "A blue circle and a red star." in page.locator("#rows pre").inner_text()
    page.click("#rows [data-do=export-check]")
    page.wait_for_selector("#check .tokens")
    learnt = page.eval_on_selector_all("#check .learnt", "all => all.map(each => each.textContent).join('')")
    assert "A blue circle and a red star." in learnt.replace("▁", " ") and "stands here" not in learnt
    page.keyboard.press("Escape")
    page.fill("#check-row input", "2")  # any row, beyond the first ones that are shown
    page.click("#check-row button")
    said(page, "There is no row 2 in this export")
    assert not page.locator("#check").is_visible()
    page.fill("#check-row input", "1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#check .tokens")
    page.keyboard.press("Escape")

    page.click("#make")
    page.wait_for_selector('#job[data-phase="done"]')
    with page.expect_download() as fetched:
        page.locator("#made a").first.click()
    packed = tmp_path / "export.zip"
    fetched.value.save_as(packed)
    rows, pictures = read_zip(packed)
    (row,) = rows
    human, gpt = row["conversations"]
    assert human["value"] == f"<image>\n{question}" and gpt["value"] == "A blue circle and a red star."
    assert wrong not in json.dumps(row)
    (asked,) = running.rows("SELECT id FROM turns WHERE text = ?", question)
    (stored,) = running.rows("SELECT sha256 FROM turn_pictures WHERE turn_id = ?", asked["id"])
    assert Path(row["image"]).stem == stored["sha256"]
    (file,) = (running.folder / "pictures").rglob(row["image"])
    assert pictures[row["image"]] == file.read_bytes()
    (kept,) = running.rows("SELECT text FROM turns WHERE parent_id = ?", asked["id"])
    assert kept["text"] == wrong, "the correction stands beside the answer, never over it"
    assert visitor.faults == [] and visitor.external == []


def read_zip(path: Path) -> tuple[list[dict], dict[str, bytes]]:
    """The rows of all sides, and the pictures by name."""
    rows, pictures = [], {}
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as packed:
        assert packed.testzip() is None
        for name in packed.namelist():
            if "/images/" in name:
                pictures[name.split("/images/")[1]] = packed.read(name)
            elif name.endswith(".json") and not name.endswith("manifest.json"):
                rows += json.loads(packed.read(name))
    return rows, pictures


def test_a_bulk_action_on_what_the_filters_mean_is_taken_back(visitor: Visitor, running: RunningPage) -> None:
    word = f"w{uuid4().hex[:8]}"
    ask(visitor, f"{word} one", f"{word} two", f"{word} three")
    page = open_library(visitor, word)
    numbered(page, 3)
    states = (
        "SELECT a.state FROM answers a JOIN turns t ON t.id = a.turn_id "
        "JOIN turns q ON q.id = t.parent_id WHERE q.text LIKE ?"
    )

    def now() -> list[str]:
        return [row["state"] for row in running.rows(states, f"{word}%")]

    page.click('[data-do="bulk-state"][data-value="rejected"]')
    said(page, "Rejected 3 answers.")
    assert now() == ["rejected"] * 3
    page.keyboard.press("u")
    said(page, "Taken back on 3 answers.")
    assert now() == ["pending"] * 3
    assert visitor.faults == []
