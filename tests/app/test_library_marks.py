"""Marks change nothing of what is read, and no text becomes markup."""

from __future__ import annotations

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from app.library_marks import marked_html
from conversations.personal_data import find
from conversations.search_words import Span, highlights, searched

PIECES = st.sampled_from(
    ["ann@example.org", "10.0.0.1", "+49 30 1234567", "<b>", "&amp;", '"', " ", "red", "é", "\n"]
)


@given(st.lists(PIECES, max_size=12).map(" ".join))
def test_the_text_itself_stands_unchanged_between_the_marks(text: str) -> None:
    marked = marked_html(text, find(text), highlights(text, searched("red ann")))
    assert unescape(re.sub(r"</?mark[^>]*>", "", marked)) == text
    assert "<b>" not in marked


def test_personal_data_says_what_it_is_and_a_hit_inside_it_is_marked_too() -> None:
    text = "Mail ann@example.org now"
    marked = marked_html(text, find(text), [Span(5, 8)])
    assert (
        '<mark class="personal" data-kind="email" title="Personal data: e-mail address"><mark class="hit">ann<'
        in marked
    )
    assert marked.startswith("Mail ") and marked.endswith(" now")
