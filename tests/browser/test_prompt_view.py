"""What does the model see? The panel, with the real worker behind it."""

from __future__ import annotations

from pathlib import Path

from tests.browser.running_page import RunningPage, example_question
from tests.browser.visitor import Visitor


def test_the_prompt_of_an_answer_is_shown_as_the_worker_counted_it(
    visitor: Visitor, running: RunningPage
) -> None:
    picture, _ = example_question()
    visitor.longest(12)
    visitor.ask("What is <b>this</b>?", picture)
    visitor.wait_for_end()
    page = visitor.page
    visitor.reply.locator('[data-do="see-prompt"]').click()
    page.wait_for_selector("#prompt .tokens")
    shown = page.locator("#prompt .tokens").inner_text()
    assert "Human: " in shown and "<b>this</b>" in shown and shown.startswith("<s>")
    learnt = page.eval_on_selector_all("#prompt .learnt", "all => all.map(each => each.textContent).join('')")
    assert visitor.raw().strip()[:5] in learnt and "this" not in learnt
    assert page.locator("#prompt .seen-picture img").count() == 1
    (answer,) = running.answers(visitor.conversation)
    untrained = page.eval_on_selector_all(
        "#prompt .tokens > span",
        "all => { const end = all.findIndex(each => each.className === 'learnt');"
        "return all.slice(0, end).reduce((sum, each) => sum + (each.className ? parseInt(each.title) : 1), 0); }",
    )
    assert untrained == answer["num_prompt_tokens"], "token for token what was asked"
    page.keyboard.press("Escape")
    assert not page.locator("#prompt").is_visible() and visitor.faults == []


def test_what_the_server_lacks_is_not_on_the_page(visitor: Visitor, tmp_path: Path) -> None:
    """A status as a server gives it that takes no seed and shows no prompt."""
    visitor.longest(3)
    visitor.ask("Hello")
    visitor.wait_for_end()
    page = visitor.page
    eye = visitor.reply.locator('[data-do="see-prompt"]')
    page.wait_for_function("document.querySelector('.room').dataset.lacks === ''")
    assert eye.is_visible()
    page.evaluate("document.querySelector('.room').dataset.lacks = 'seed prompt'")
    assert not eye.is_visible() and page.locator('#choices [name="seed"]').is_hidden()
