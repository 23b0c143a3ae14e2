"""Refusals: each names what it is about, none hides another, and none outstays the part that it was about."""

from __future__ import annotations

import json
from pathlib import Path

from tests.browser.running_page import example_question
from tests.browser.visitor import Visitor


def test_each_of_several_files_that_are_refused_is_named(visitor: Visitor, tmp_path: Path) -> None:
    for name in ("notes.png", "list.png"):
        (tmp_path / name).write_text("no picture")
    good, _ = example_question()
    visitor.add(tmp_path / "notes.png", good, tmp_path / "list.png")
    visitor.page.wait_for_function(
        "['notes.png: ', 'list.png: '].every(name => document.querySelector('#notice').innerText.includes(name))"
    )
    visitor.page.wait_for_selector('.chip[data-sending="no"]')
    assert visitor.page.locator(".chip").count() == 1
    visitor.add(good)
    visitor.page.wait_for_function("document.querySelector('#notice').hidden")


def test_a_refusal_in_the_library_goes_with_the_part_that_it_was_about(visitor: Visitor) -> None:
    page = visitor.page
    page.locator("[data-do=show-library]").click()
    page.evaluate("loop.curation.tell('There is no row 999 in this export.', {failed: true})")
    assert page.locator("#toast").is_visible()
    page.get_by_role("tab", name="Import").click()
    assert page.locator("#toast").is_hidden()
    page.evaluate("loop.curation.tell('Approved 2 answers.', {back: {action: 0, answer: null}})")
    page.get_by_role("tab", name="Review").click()
    assert page.locator("#toast").is_visible(), "what can be taken back stays"


def test_what_is_imported_is_counted_at_once(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    page.locator("[data-do=show-library]").click()
    page.wait_for_function("/^[0-9]/.test(document.querySelector('#number').textContent)")
    before = int(page.locator("#number").inner_text().replace(",", ""))
    talk = [{"from": "human", "value": "Counted?"}, {"from": "gpt", "value": "At once."}]
    (tmp_path / "mine.json").write_text(json.dumps([{"id": str(tmp_path), "conversations": talk}]))
    page.get_by_role("tab", name="Import").click()
    page.set_input_files("#library-file", tmp_path / "mine.json")
    page.wait_for_function(
        "before => document.querySelector('#number').textContent === String(before + 1)",
        arg=before,
    )
