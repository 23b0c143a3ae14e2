"""The messages that the chat's feeds carry: a conversation, the list of them, a sentence. Every one has a number of its
own, since the page's components tell only what differs from the message before."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

from app.browser_event import BrowserEvent
from app.sidebar_view import CONVERSATIONS_A_PAGE, ListView, sidebar_html
from app.thread_view import thread_html
from conversations.search import MAX_FOUND
from conversations.store import ConversationStore

Feeds = dict[str, dict[str, Any]]
"""Feed name ("thread", "live", "list", "notice", "status", "prompt") to its message."""

MAX_LISTED = 10_000


def view_of(event: BrowserEvent) -> ListView:
    """What the page's list shows just now; with nothing said, the newest conversations."""
    return ListView(
        search=event.text("search"),
        shown=event.count("shown", CONVERSATIONS_A_PAGE, MAX_LISTED),
        archived=event.flag("archived"),
        tag=event.text("tag"),
    )


class ChatFeeds:
    """Makes them, for one owner at a time; any number of threads may call it."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store
        self._numbers = count(1)

    def number(self) -> int:
        return next(self._numbers)

    def thread(
        self, owner: str, conversation_id: str, *, key: str = "", deed: str = "", focus: int | None = None
    ) -> Feeds:
        """A conversation, whole. `key`: the turn that it answers; `deed`: the key of any other event; `focus`: the turn
        to be brought into view. Raises NotFound."""
        conversation = self._store.load(owner, conversation_id)
        message = {
            "n": self.number(),
            "key": key,
            "deed": deed,
            "conversation": conversation.id,
            "title": conversation.title,
            "private": conversation.is_private,
            "html": thread_html(conversation.shown),
        }
        return {"thread": message if focus is None else message | {"focus": focus}}

    def list(self, owner: str, view: ListView) -> Feeds:
        """The conversations of a view, pinned ones first. A search looks at the archived ones too."""
        searched = view.search.strip()
        archived = None if searched and not view.archived else view.archived
        most = MAX_FOUND if searched else MAX_LISTED
        shown = min(view.shown, most)
        found = self._store.history.recent(
            owner, searched, limit=shown + 1, archived=archived, tag=view.tag or None
        )
        older = len(found) > shown
        more = older and shown < most  # the page asks on while there are more than it has
        message = {
            "n": self.number(),
            # Told back as it was sent: browsers strip other characters than Python does.
            "search": view.search,
            "shown": shown,
            "archived": view.archived,
            "tag": view.tag,
            "more": more,
            "tags": list(self._store.history.tags(owner)),
            "html": sidebar_html(
                found[:shown], view, now=datetime.now().astimezone(), more=more, cut=older and not more
            ),
        }
        return {"list": message}

    def notice(self, words: str, key: str = "") -> Feeds:
        return {"notice": {"n": self.number(), "words": words, "key": key}}
