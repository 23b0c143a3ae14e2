"""A person talks with the model: the real page in Chromium, the real worker, the real database."""

from __future__ import annotations

from tests.browser.running_page import RunningPage, example_question
from tests.browser.visitor import Visitor


def test_a_picture_and_a_question_get_a_streamed_answer_that_is_also_in_the_log(
    visitor: Visitor, running: RunningPage
) -> None:
    picture, question = example_question()
    visitor.longest(120)
    visitor.ask(question, picture)
    visitor.wait_for_text()
    assert visitor.wait_for_end() in ("stop", "length")
    (answer,) = running.answers(visitor.conversation)
    assert answer["text"] == visitor.raw()
    assert answer["finish_reason"] in ("stop", "length")
    assert answer["first_token_ms"] is not None and answer["duration_ms"] >= answer["first_token_ms"]
    (asked,) = running.questions(visitor.conversation)
    assert asked["text"] == question
    assert running.rows("SELECT * FROM turn_pictures WHERE turn_id = ?", asked["id"])
    shown = visitor.page.locator("#thread .picture img")
    assert shown.evaluate("image => image.complete && image.naturalWidth > 0")
    assert visitor.page.input_value("#draft") == ""
