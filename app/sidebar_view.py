"""The list of past conversations as HTML: pinned ones, then by how long ago they were last used; of a search, what was
found, with the words marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from html import escape
from itertools import groupby

from app.library_marks import marked_html
from app.tool_view import icon, tool
from conversations.turns import ConversationSummary

MORE = '<button type="button" class="more" data-do="more">Show more</button>'
CONVERSATIONS_A_PAGE = 50


@dataclass(frozen=True, slots=True)
class ListView:
    """Which conversations the list shows: words to be found, how many at most, the archived ones only, one tag only."""

    search: str = ""
    shown: int = CONVERSATIONS_A_PAGE
    archived: bool = False
    tag: str = ""


def sidebar_html(
    conversations: Sequence[ConversationSummary],
    view: ListView | None = None,
    *,
    now: datetime,
    more: bool = False,
    cut: bool = False,
) -> str:
    """Groups in order, newest first. `now` carries the time zone in which days are counted; `more`: there are older
    ones to be shown; `cut`: there are older ones, and no list is longer than this."""
    view = view or ListView()
    if not conversations:
        return f'<p class="no-chats">{_nothing(view)}</p>'
    parts = []
    for name, group in groupby(conversations, key=lambda each: _group(each, view, now)):
        lines = "".join(_line(each) for each in group)
        parts.append(f'<section class="days"><h2>{name}</h2><ul>{lines}</ul></section>')
    return "".join(parts) + (MORE if more else "") + (_cut(len(conversations), view) if cut else "")


def day_name(moment: datetime, now: datetime) -> str:
    """Today, Yesterday, Previous 7 days, the month of this year, or month and year."""
    day, today = _day(moment, now.tzinfo), now.date()
    if day >= today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    if day >= today - timedelta(days=7):
        return "Previous 7 days"
    return f"{day:%B}" if day.year == today.year else f"{day:%B %Y}"


def _day(moment: datetime, zone: tzinfo | None) -> date:
    return moment.astimezone(zone).date()


def _group(conversation: ConversationSummary, view: ListView, now: datetime) -> str:
    """What is found comes in the order of its hits and not of its days."""
    if view.search.strip():
        return "Found"
    return "Pinned" if conversation.is_pinned else day_name(conversation.updated_at, now)


def _nothing(view: ListView) -> str:
    searched, tag = view.search.strip(), view.tag
    if searched:
        return f"Nothing found for “{escape(searched)}”."
    if tag:
        return f"Nothing here has the tag “{escape(tag)}”."
    return (
        "What you archive is kept here, out of the way."
        if view.archived
        else "Your conversations will appear here."
    )


def _cut(num_shown: int, view: ListView) -> str:
    rest = "narrow the words to find others" if view.search.strip() else "search for the others"
    return f'<p class="no-more">These are the newest {num_shown:,}; {rest}.</p>'


def _line(conversation: ConversationSummary) -> str:
    title = marked_html(conversation.title, hits=conversation.title_hits) or "New chat"
    held = {
        "conversation": conversation.id,
        "title": conversation.title,
        "tags": "\n".join(conversation.tags),
    }
    flags = {
        "pinned": conversation.is_pinned,
        "archived": conversation.is_archived,
        "private": conversation.is_private,
    }
    data = "".join(f' data-{name}="{escape(value)}"' for name, value in held.items())
    data += "".join(f" data-{name}" for name, is_set in flags.items() if is_set)
    if conversation.hit_turn_id is not None:
        data += f' data-turn="{conversation.hit_turn_id}"'
    return (
        f'<li class="chat"{data}><button type="button" class="open" data-do="open" dir="auto">{title}</button>'
        f"{_signs(conversation)}{tool('chat-menu', 'Rename, pin, tag and more', 'dots', popup='chat-menu')}"
        f"{_hit(conversation)}{_tags(conversation)}</li>"
    )


def _signs(conversation: ConversationSummary) -> str:
    signs = []
    if conversation.is_archived:
        signs.append(("archive", "Archived"))
    if conversation.is_private:
        signs.append(("lock", "Not used for training"))
    shown = "".join(
        f'<span class="sign" role="img" title="{words}" aria-label="{words}">{icon(name)}</span>'
        for name, words in signs
    )
    return f'<span class="signs">{shown}</span>' if shown else ""


def _hit(conversation: ConversationSummary) -> str:
    """Where the words were found; the title is not repeated."""
    hit = conversation.hit
    if hit is None or hit.text.strip("… ") == conversation.title.strip("… "):
        return ""
    return f'<p class="snippet" data-do="open" dir="auto">{marked_html(hit.text, hits=hit.hits)}</p>'


def _tags(conversation: ConversationSummary) -> str:
    shown = "".join(f'<span class="tag" dir="auto">{escape(tag)}</span>' for tag in conversation.tags)
    return f'<p class="tags">{shown}</p>' if shown else ""
