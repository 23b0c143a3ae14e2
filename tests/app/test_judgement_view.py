"""Ratings and corrections as HTML: whatever was written, no element of its own gets in."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.judgement_view import correction_html, data_html, reasons_html, verdict_html
from app.thread_view import thread_html
from conversations.reasons import REASONS
from tests.app.test_answer_markup import Elements
from tests.app.test_thread_view import ANSWER, QUESTION


@given(st.text(), st.text(min_size=1))
def test_notes_and_corrections_bring_no_elements_of_their_own(note: str, correction: str) -> None:
    judged = replace(ANSWER, rating="down", reasons=("made_up",), note=note, correction=correction)
    found = Elements(thread_html([QUESTION, judged])).found
    assert [tag for tag, _ in found].count("article") == 2
    assert not [tag for tag, _ in found if tag in ("script", "img", "iframe", "style", "form", "input")]
    (article,) = [each for tag, each in found if tag == "article" and "data-rating" in each]
    # What the forms begin with is what was written, to the letter. HTML reads no NUL, nor a lone return.
    if not set(note + correction) & set("\0\r"):
        assert article["data-note"] == note and article["data-correction"] == correction


def test_both_answers_are_visible_and_named() -> None:
    html = thread_html([QUESTION, replace(ANSWER, correction="A blue square.")])
    order = [
        "<h4>The model’s answer", "<strong>circle", "<h4>The right answer", "<p>A blue square.",
    ]  # fmt: skip
    assert [html.index(each) for each in order] == sorted(html.index(each) for each in order)
    assert "The right answer" not in thread_html([QUESTION, ANSWER])
    assert correction_html(ANSWER) == "" and "data-correction" not in data_html(ANSWER)


def test_a_verdict_says_what_was_chosen_and_leads_to_more() -> None:
    assert verdict_html(ANSWER) == ""
    assert "Say why" in verdict_html(replace(ANSWER, rating="down"))
    assert "Add a note" in verdict_html(replace(ANSWER, rating="up"))
    whole = verdict_html(replace(ANSWER, rating="down", reasons=("made_up", "rude"), note="<b>"))
    assert "made up, rude" in whole and "&lt;b&gt;" in whole and "Change" in whole


def test_every_reason_can_be_ticked() -> None:
    boxes = [each["value"] for tag, each in Elements(reasons_html()).found if tag == "input"]
    assert boxes == list(REASONS)
