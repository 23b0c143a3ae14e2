"""A conversation as HTML: escaped, small, and with the tools that its state needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.thread_view import measures, thread_html, tokens_per_second
from conversations.messages import ImageRef
from conversations.turns import AnswerDetails, Turn
from tests.app.test_answer_markup import ANY_ANSWER, Elements

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DETAILS = AnswerDetails("demo", "llava_v0", "", 0.2, 0.7, 512, 1, "stop", None, 40, 11, 500.0, 1500.0)
QUESTION = Turn(1, "c", None, "user", "What is it?", (), NOW)
ANSWER = Turn(2, "c", 1, "assistant", "A **circle**.", (), NOW, answer=DETAILS)


@given(st.text(), ANY_ANSWER)
def test_whatever_was_written_no_element_of_its_own_gets_in(question: str, answer: str) -> None:
    html = thread_html([replace(QUESTION, text=question), replace(ANSWER, text=answer)])
    elements = Elements(html).found
    assert [tag for tag, _ in elements].count("article") == 2
    assert not [
        tag for tag, _ in elements if tag in ("script", "iframe", "img", "style", "form", "input", "object")
    ]
    for _, attributes in elements:
        assert not any(name.startswith("on") for name in attributes)
        assert str(attributes.get("href", "#")).startswith(("#", "http", "mailto:"))


def test_a_text_is_kept_exactly_carriage_returns_included() -> None:
    html = thread_html([replace(QUESTION, text="a\r\nb"), replace(ANSWER, text='c\r"d"')])
    assert 'data-raw="a&#13;\nb"' in html and 'data-raw="c&#13;&quot;d&quot;"' in html


def test_pictures_go_by_address_and_small() -> None:
    html = thread_html([replace(QUESTION, images=(ImageRef("ab" * 32, 640, 480),))])
    assert f'src="pictures/{"ab" * 32}/thumb"' in html
    assert "base64" not in html and len(html) < 3000


@pytest.mark.parametrize(
    ("reason", "error", "said", "choices"),
    [
        ("stopped", None, "Stopped", ["retry"]),
        ("stopped", "page_left: The page was closed.", "The page was closed.", ["retry"]),
        ("interrupted", None, "Interrupted", ["retry"]),
        ("length", None, "token limit", []),
        ("failed", "died: It ended.", "It ended.", ["retry"]),
        ("failed", "out_of_memory: Too large.", "Too large.", ["retry"]),
        ("failed", "timeout: It was silent.", "It was silent.", ["retry"]),
        ("failed", "loading: Not yet.", "Not yet.", ["retry"]),
        ("failed", "context_length_exceeded: Too long.", "Too long.", ["anew", "go-on"]),
        ("failed", "message_too_long: Too long.", "Too long.", ["edit-question"]),
        ("stop", None, "", []),
    ],
)
def test_an_answer_that_is_not_whole_says_why_and_offers_a_way_on(
    reason, error: str | None, said: str, choices: list[str]
) -> None:
    html = thread_html(
        [QUESTION, replace(ANSWER, answer=replace(DETAILS, finish_reason=reason, error=error))]
    )
    assert said in html
    offered = [
        each["data-do"]
        for tag, each in Elements(html).found
        if tag == "button" and "choice" in str(each["class"])
    ]
    assert offered == choices


def test_a_running_answer_says_so_and_has_no_tools_yet() -> None:
    html = thread_html([QUESTION, replace(ANSWER, text="", answer=replace(DETAILS, finish_reason="running"))])
    assert "Answering" in html and 'data-do="retry"' not in html


def test_a_question_that_was_never_asked_can_be_asked() -> None:
    assert "Ask it" in thread_html([QUESTION])


def test_versions_are_counted_and_the_ends_are_ends() -> None:
    html = thread_html([QUESTION, replace(ANSWER, version=2, num_versions=2)])
    assert ">2/2<" in html
    buttons = {each["aria-label"]: each for tag, each in Elements(html).found if tag == "button"}
    assert "disabled" in buttons["Later version"] and "disabled" not in buttons["Earlier version"]


def test_ratings_show_as_pressed() -> None:
    buttons = {
        each.get("aria-label"): each
        for tag, each in Elements(thread_html([QUESTION, replace(ANSWER, rating="down")])).found
        if tag == "button"
    }
    assert (
        buttons["A bad answer"]["aria-pressed"] == "true"
        and buttons["A good answer"]["aria-pressed"] == "false"
    )


def test_measures_are_told_as_far_as_they_are_known() -> None:
    assert measures(DETAILS) == "demo · first token 0.50 s · 10.0 tokens/s"
    assert measures(replace(DETAILS, num_completion_tokens=None)) == "demo · first token 0.50 s"
    assert measures(replace(DETAILS, first_token_ms=None)) == "demo"
    assert tokens_per_second(replace(DETAILS, num_completion_tokens=1)) is None
    assert tokens_per_second(replace(DETAILS, duration_ms=500.0)) is None


def test_an_answer_that_arrived_in_one_piece_has_no_speed() -> None:
    assert (
        measures(replace(DETAILS, num_completion_tokens=41, duration_ms=500.4)) == "demo · first token 0.50 s"
    )
    assert tokens_per_second(replace(DETAILS, num_completion_tokens=41, duration_ms=700.0)) == 200.0


@pytest.mark.parametrize(
    ("size", "room"),
    [((384, 256), (240, 160)), ((30, 20), (30, 20)), ((4000, 2), (240, 1)), ((0, 0), (None, None))],
)
def test_the_room_of_a_picture_is_kept_while_it_comes(
    size: tuple[int, int], room: tuple[str | None, str | None]
) -> None:
    html = thread_html([replace(QUESTION, images=(ImageRef("a" * 64, *size),)), ANSWER])
    (picture,) = [attributes for name, attributes in Elements(html).found if name == "img"]
    assert (picture.get("width"), picture.get("height")) == tuple(side and str(side) for side in room)
