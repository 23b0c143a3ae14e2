"""The list of past conversations as HTML, grouped by how long ago they were last used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from html import escape
from itertools import groupby

from app.tool_view import tool
from conversations.turns import ConversationSummary

MORE = '<button type="button" class="more" data-do="more">Show more</button>'


def sidebar_html(
    conversations: Sequence[ConversationSummary], *, now: datetime, searched: str = "", more: bool = False
) -> str:
    """Groups in order, newest first. `now` carries the time zone in which days are counted; `more`: there are older
    ones."""
    if not conversations:
        words = (
            f"Nothing found for “{escape(searched)}”." if searched else "Your conversations will appear here."
        )
        return f'<p class="no-chats">{words}</p>'
    parts = []
    for name, group in groupby(conversations, key=lambda each: day_name(each.updated_at, now)):
        lines = "".join(_line(each) for each in group)
        parts.append(f'<section class="days"><h2>{name}</h2><ul>{lines}</ul></section>')
    return "".join(parts) + (MORE if more else "")


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


def _line(conversation: ConversationSummary) -> str:
    title = escape(conversation.title or "New chat")
    return (
        f'<li class="chat" data-conversation="{escape(conversation.id)}">'
        f'<button type="button" class="open" data-do="open" dir="auto">{title}</button>'
        f"{tool('rename', 'Rename', 'edit')}{tool('delete', 'Delete', 'bin')}</li>"
    )
