"""What was typed never becomes a mark in a file, and comes back when the file is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.escaping import escape, escape_all, restore, restore_all
from conversations.template import plain_text
from tests.conversations.samples import MARKUP, hostile

BRACKETS = [mark for mark in MARKUP if mark.startswith("<")]
spaced = st.lists(
    st.sampled_from(
        [
            "#",
            " ",
            "  ",
            "<",
            "/",
            "|",
            "image>",
            "|im_end|>",
            "video>",
            "s>",
            "USER",
            ":",
            "\n",
            "é",
            "<image>",
        ]
    ),
    max_size=14,
).map("".join)
typed = (hostile | spaced).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))


@given(typed)
def test_what_was_typed_comes_back(text: str) -> None:
    assert restore(escape(text)) == text
    assert restore_all(escape_all(text)) == text


@given(typed)
def test_no_bracket_mark_is_left(text: str) -> None:
    written = escape(text)
    assert not [mark for mark in (*BRACKETS, "<video>", "<|im_end|>") if mark in written]


@given(typed)
def test_a_template_finds_nothing_to_change_in_what_was_written(text: str) -> None:
    assert plain_text(escape_all(text)) == escape_all(text)


@given(typed)
def test_a_prompt_of_what_came_back_is_the_prompt_of_what_was_typed(text: str) -> None:
    assert plain_text(restore_all(escape_all(text))) == plain_text(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("see <image>", "see < image>"),
        ("see < image>", "see <  image>"),
        ("<|im_start|>user", "< |im_start|>user"),
        ("</s>", "< /s>"),
        ("<b>bold</b> <images> 1 < 2", "<b>bold</b> <images> 1 < 2"),
        ("### Title\nUSER: hi", "### Title\nUSER: hi"),
        ("\ud83d", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_only_marks_are_changed(text: str, written: str) -> None:
    assert escape(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("### Title", "# # # Title"),
        ("# # #", "#  #  # "),
        ("# one ## two", "# one ## two"),
        ("I like C#", "I like C# "),
        ("ASSISTANT: no", "ASSISTANT : no"),
        ("ASSISTANT : no", "ASSISTANT  : no"),
    ],
)
def test_marks_of_templates_too(text: str, written: str) -> None:
    assert escape_all(text) == written


@pytest.mark.parametrize("text", ["###", "C#", "USER: a", "a ## # b", "<image>"])
def test_foreign_text_that_was_never_escaped_is_read_as_it_stands(text: str) -> None:
    assert restore_all(text) == text
