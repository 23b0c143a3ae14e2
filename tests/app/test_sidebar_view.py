"""The list of conversations: days, months and what people wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.sidebar_view import ListView, day_name, sidebar_html
from conversations.search_words import Snippet, Span
from conversations.turns import ConversationSummary

NOW = datetime(2026, 3, 15, 0, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("before", "name"),
    [
        (timedelta(0), "Today"),
        (timedelta(minutes=29), "Today"),
        (timedelta(minutes=31), "Yesterday"),
        (timedelta(hours=24, minutes=31), "Previous 7 days"),
        (timedelta(days=7), "Previous 7 days"),
        (timedelta(days=8), "March"),
        (timedelta(days=40), "February"),
        (timedelta(days=90), "December 2025"),
        (timedelta(days=-1), "Today"),
    ],
)
def test_days_are_counted_where_the_person_is(before: timedelta, name: str) -> None:
    assert day_name((NOW - before).astimezone(UTC), NOW) == name


def test_conversations_stand_under_their_day_and_titles_are_escaped() -> None:
    html = sidebar_html(
        [
            ConversationSummary("a1", "<b>bold</b>", NOW),
            ConversationSummary("b2", "second", NOW),
            ConversationSummary("c3", "old", NOW - timedelta(days=40)),
        ],
        now=NOW,
    )
    assert html.count("<section") == 2
    assert html.index("Today") < html.index("&lt;b&gt;bold") < html.index("second") < html.index("February")
    assert "<b>" not in html


def test_an_empty_list_says_why() -> None:
    assert "will appear here" in sidebar_html([], now=NOW)
    assert "Nothing found for “&lt;i&gt;”" in sidebar_html([], ListView(search="<i>"), now=NOW)


def test_a_button_for_more_stands_below_the_last_one_where_there_are_more() -> None:
    one = [ConversationSummary("a1", "first", NOW)]
    assert sidebar_html(one, now=NOW, more=True).endswith('data-do="more">Show more</button>')
    assert "Show more" not in sidebar_html(one, now=NOW)


def test_where_more_cannot_be_shown_a_sentence_says_how_many_there_are_and_how_to_find_the_others() -> None:
    one = [ConversationSummary("a1", "first", NOW)]
    listed, found = (sidebar_html(one, view, now=NOW, cut=True) for view in (None, ListView(search="x")))
    assert "These are the newest 1; search for the others." in listed and "Show more" not in listed
    assert "These are the newest 1; narrow the words to find others." in found


def test_hits_are_marked_where_they_stand_and_everything_around_them_is_escaped() -> None:
    hit = Snippet("a <zebra> here", (Span(3, 8),))
    found = ConversationSummary(
        "a1", "<zebra> talk", NOW, title_hits=(Span(1, 6),), hit=hit, hit_turn_id=7, tags=("<t>",)
    )
    html = sidebar_html([found], ListView(search="zebra"), now=NOW)
    assert '&lt;<mark class="hit">zebra</mark>&gt; talk' in html
    assert 'a &lt;<mark class="hit">zebra</mark>&gt; here' in html
    assert 'data-turn="7"' in html and "Found" in html and "<t>" not in html and "<zebra>" not in html


def test_a_snippet_that_is_the_title_is_not_repeated() -> None:
    found = ConversationSummary("a1", "A zebra", NOW, hit=Snippet("A zebra", ()), hit_turn_id=7)
    assert "snippet" not in sidebar_html([found], ListView(search="zebra"), now=NOW)


def test_an_empty_archive_and_a_tag_without_conversations_say_so() -> None:
    assert "archive" in sidebar_html([], ListView(archived=True), now=NOW)
    assert "the tag “&lt;i&gt;”" in sidebar_html([], ListView(tag="<i>"), now=NOW)
