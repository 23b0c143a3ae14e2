"""A person talks with the model: the real page in Chromium, the real worker, the real database."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.app.test_worker_process import wait_for
from tests.browser.running_page import RunningPage, example_question
from tests.browser.visitor import Visitor, choose


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
    visitor.page.wait_for_function("document.querySelector('#thread .picture img').naturalWidth > 0")
    assert visitor.page.input_value("#draft") == ""


def test_an_example_is_asked_with_one_click(visitor: Visitor, running: RunningPage) -> None:
    visitor.longest(20)
    visitor.page.click(".example >> nth=0")
    visitor.page.wait_for_selector("#thread .question .picture")
    visitor.wait_for_end()
    (asked,) = running.questions(visitor.conversation)
    assert asked["text"] == example_question()[1]


def test_a_follow_up_stands_below_the_first_answer(visitor: Visitor, running: RunningPage) -> None:
    visitor.longest(30)
    visitor.ask("What is this?", example_question()[0])
    visitor.wait_for_end()
    first = visitor.conversation
    visitor.ask("And what size is it?")
    visitor.wait_for_end()
    assert visitor.conversation == first
    questions, answers = running.questions(first), running.answers(first)
    assert [each["text"] for each in questions] == ["What is this?", "And what size is it?"]
    assert questions[1]["parent_id"] == answers[0]["id"]
    assert visitor.page.locator("#thread article").count() == 4
    # the second prompt holds the first turn as well
    assert answers[1]["num_prompt_tokens"] > answers[0]["num_prompt_tokens"]


def test_retry_gives_a_second_version_and_keeps_the_first(visitor: Visitor, running: RunningPage) -> None:
    visitor.longest(25)
    visitor.choose("temperature", 1.5)
    visitor.choose("top_p", 1)
    visitor.ask("What is this?")
    visitor.wait_for_end()
    first = visitor.raw()
    visitor.reply.locator('.tools [data-do="retry"]').click()
    visitor.page.wait_for_selector("#thread .reply .count")
    visitor.wait_for_end()
    second = visitor.raw()
    assert visitor.reply.locator(".count").inner_text() == "2/2"
    answers = running.answers(visitor.conversation)
    assert [each["text"] for each in answers] == [first, second]
    visitor.reply.get_by_label("Earlier version").click()
    visitor.page.wait_for_function(
        "() => document.querySelector('#thread .reply .count').textContent === '1/2'"
    )
    assert visitor.raw() == first
    assert visitor.page.locator("#thread article").count() == 2


def test_an_edited_question_is_a_new_version_with_the_same_picture(
    visitor: Visitor, running: RunningPage
) -> None:
    visitor.longest(20)
    visitor.ask("What colour is it?", example_question()[0])
    visitor.wait_for_end()
    question = visitor.page.locator("#thread .question")
    question.hover()
    question.get_by_label("Edit the question").click()
    visitor.page.fill(".editing textarea", "What shape is it?")
    visitor.page.press(".editing textarea", "Enter")
    visitor.page.wait_for_selector("#thread .question .count")
    visitor.wait_for_end()
    assert question.locator(".bubble").inner_text() == "What shape is it?"
    assert question.locator(".picture img").count() == 1
    before, after = running.questions(visitor.conversation)
    assert (before["text"], after["text"]) == ("What colour is it?", "What shape is it?")
    assert before["parent_id"] == after["parent_id"]
    question.hover()
    question.get_by_label("Earlier version").click()
    visitor.page.wait_for_function(
        "() => document.querySelector('#thread .question .bubble').textContent === 'What colour is it?'"
    )


def test_thumbs_are_kept_and_taken_back(visitor: Visitor, running: RunningPage) -> None:
    visitor.longest(10)
    visitor.ask("Hello")
    visitor.wait_for_end()
    for name, kept in (("A good answer", "up"), ("A bad answer", "down"), ("A bad answer", None)):
        with visitor.page.expect_response(
            lambda response: "/run" in response.url or "/queue" in response.url
        ):
            visitor.reply.get_by_label(name).click()
        if kept == "down":  # it asks what was wrong
            visitor.page.wait_for_selector("#judge[open]")
            visitor.page.keyboard.press("Escape")
        visitor.page.wait_for_function(
            "([name, on]) => document.querySelector(`#thread .reply [aria-label='${name}']`).ariaPressed === on",
            arg=[name, "true" if kept else "false"],
        )
        wait_for(lambda: running.answers(visitor.conversation)[0]["rating"] == kept)  # noqa: B023 - called at once


def test_reloading_finds_the_conversation_again(visitor: Visitor) -> None:
    visitor.longest(25)
    visitor.ask("Is it here tomorrow?", example_question()[0])
    visitor.wait_for_end()
    before = visitor.raw()
    visitor.page.reload()
    visitor.page.wait_for_selector("#thread .reply")
    assert visitor.raw() == before
    assert visitor.page.locator("#thread .picture img").count() == 1
    visitor.go()  # without the conversation in the address: an empty page, and the list leads back
    assert visitor.page.locator("#thread article").count() == 0
    visitor.page.get_by_role("button", name="Is it here tomorrow?", exact=True).click()
    visitor.page.wait_for_selector("#thread .reply")
    assert visitor.raw() == before


def test_send_pressed_twice_makes_one_turn(visitor: Visitor, running: RunningPage) -> None:
    visitor.longest(40)
    visitor.write("Only once, please")
    visitor.page.evaluate("() => { loop.submit(); loop.submit(); }")
    visitor.page.wait_for_selector("#thread .reply")
    visitor.wait_for_end()
    assert len(running.questions(visitor.conversation)) == 1
    # ... and the same request sent again past the page's own guard, as a shaky connection would
    visitor.page.evaluate(
        "() => { const key = loop.key(); for (let n = 0; n < 2; n += 1) loop.say('turn', {kind: 'ask', key, "
        "conversation: loop.conversation, text: 'Twice', pictures: [], choices: loop.choices()}); }"
    )
    visitor.page.wait_for_function("() => document.querySelectorAll('#thread .question').length === 2")
    visitor.wait_for_end()
    visitor.page.wait_for_timeout(500)
    texts = [each["text"] for each in running.questions(visitor.conversation)]
    assert texts == ["Only once, please", "Twice"]
    assert len(running.answers(visitor.conversation)) == 2


def test_two_tabs_on_one_conversation_lose_nothing(
    visit: Callable[..., Visitor], visitor: Visitor, running: RunningPage
) -> None:
    visitor.longest(20)
    visitor.ask("From the first tab")
    visitor.wait_for_end()
    conversation = visitor.conversation
    other = visit(running, beside=visitor)
    other.go(f"?c={conversation}")
    other.page.wait_for_selector("#thread .reply")
    other.longest(20)
    other.ask("From the second tab")
    other.wait_for_end()
    visitor.ask("From the first tab again")  # this tab has not seen the second one's turn
    visitor.wait_for_end()
    texts = visitor.page.locator("#thread .question .bubble").all_inner_texts()
    assert texts == ["From the first tab", "From the second tab", "From the first tab again"]
    assert [each["text"] for each in running.questions(conversation)] == texts
    assert all(each["is_shown"] for each in running.answers(conversation))


def test_another_chat_can_be_opened_while_an_answer_comes(visitor: Visitor, running: RunningPage) -> None:
    visitor.longest(900)
    visitor.ask("The first chat")
    visitor.wait_for_text()
    first = visitor.conversation
    visitor.page.keyboard.press("Control+k")
    assert visitor.page.locator("#thread article").count() == 0
    visitor.longest(15)
    visitor.ask("The second chat")
    visitor.wait_for_end()
    assert visitor.conversation != first
    assert visitor.page.locator("#thread .question .bubble").all_inner_texts() == ["The second chat"]
    visitor.page.get_by_role("button", name="The first chat", exact=True).click()
    visitor.page.wait_for_function(
        "() => document.querySelector('#thread .bubble')?.textContent === 'The first chat'"
    )
    visitor.wait_for_end()
    assert running.answers(first)[0]["text"] == visitor.raw()


def test_conversations_are_searched_renamed_and_deleted(visitor: Visitor, running: RunningPage) -> None:
    visitor.longest(8)
    for text in ("About a zebra", "About an okapi"):
        visitor.ask(text)
        visitor.wait_for_end()
        visitor.page.click("[data-do=new]")
    chats = visitor.page.locator("#chats .chat .open")
    assert chats.all_inner_texts() == ["About an okapi", "About a zebra"]
    visitor.page.fill("#search", "zebra")
    visitor.page.wait_for_function("() => document.querySelectorAll('#chats .chat').length === 1")
    chat = visitor.page.locator("#chats .chat")
    choose(visitor, chat, "Rename")
    visitor.page.fill(".renaming", "Stripes")
    visitor.page.press(".renaming", "Enter")
    visitor.page.fill("#search", "")
    visitor.page.get_by_role("button", name="Stripes", exact=True).wait_for()
    stripes = "SELECT title FROM conversations WHERE title = 'Stripes'"
    wait_for(lambda: bool(running.rows(stripes)))  # the list shows the new title before the program has it
    chat = visitor.page.locator("#chats .chat", has_text="Stripes")
    choose(visitor, chat, "Delete")
    visitor.page.get_by_role("button", name="Delete", exact=True).last.click()
    visitor.page.wait_for_function("() => document.querySelectorAll('#chats .chat').length === 1")
    wait_for(lambda: not running.rows(stripes))


_WATCH_COPY = """
() => {
  const use = document.querySelector('#thread [aria-label="Copy the question"] use');
  window.icons = [];
  new MutationObserver(() => window.icons.push(use.getAttribute("href"))).observe(use, { attributes: true });
}
"""


def test_an_answer_and_a_question_are_copied_as_they_were_written(visitor: Visitor) -> None:
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.longest(20)
    visitor.ask("**What** is `this`?")
    visitor.wait_for_end()
    visitor.reply.get_by_label("Copy the answer").click()
    visitor.page.wait_for_function(
        "async text => await navigator.clipboard.readText() === text", arg=visitor.raw()
    )
    visitor.page.locator("#thread .question").hover()
    visitor.page.evaluate(_WATCH_COPY)
    visitor.page.get_by_label("Copy the question").click()
    visitor.page.wait_for_function(
        "async () => await navigator.clipboard.readText() === '**What** is `this`?'"
    )
    visitor.page.wait_for_function("window.icons.includes('#icon-check')")  # it says for a moment that it did


def test_below_an_answer_stand_model_time_and_speed(visitor: Visitor) -> None:
    visitor.longest(30)
    visitor.ask("How fast are you?")
    visitor.wait_for_end()
    visitor.reply.hover()
    measures = visitor.reply.locator(".measures").inner_text()
    assert re.fullmatch(r"tiny-random · first token \d+\.\d\d s( · \d+\.\d tokens/s)?", measures), measures
