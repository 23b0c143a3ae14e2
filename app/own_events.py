"""What a person does with what is theirs: judge and correct answers, and keep their conversations in order.

As in ChatEvents, one method for each event of the page; the store checks the owner every time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from app import wording
from app.browser_event import MAX_TEXT, BrowserEvent
from app.chat_feeds import ChatFeeds, Feeds, view_of
from conversations.errors import InvalidText
from conversations.feedback import MAX_NOTE_LENGTH
from conversations.history import MAX_TAG_LENGTH, MAX_TAGS
from conversations.reasons import REASONS
from conversations.store import ConversationStore
from conversations.turns import Rating

EVENTS = ("rate", "correct", "rename", "pin", "archive", "tag", "private", "delete")


class OwnEvents:
    """`stop` ends an answer in the making, before its conversation is deleted."""

    def __init__(
        self, store: ConversationStore, feeds: ChatFeeds, stop: Callable[[str, str], object]
    ) -> None:
        self._store = store
        self._feeds = feeds
        self._stop = stop

    # -- answers ---------------------------------------------------------------------------------------------------

    def rate(self, owner: str, event: BrowserEvent) -> Feeds:
        """A thumb, or "" to take it back. What is not sent along stays: reasons with a thumb down, the note."""
        rating = event.text("rating")
        reasons = event.texts("reasons", len(REASONS), "reasons")
        if rating not in ("up", "down", "") or not set(reasons) <= set(REASONS):
            raise InvalidText(wording.FORGED)
        turn = self._store.turn(owner, event.turn())
        if not event.has("reasons"):
            reasons = list(turn.reasons)
        note = event.text("note", 2 * MAX_NOTE_LENGTH) if event.has("note") else turn.note
        self._store.feedback.rate(
            owner,
            turn.id,
            cast("Rating | None", rating or None),
            reasons=reasons if rating == "down" else (),
            note=note.strip() if rating else "",
        )
        return self._feeds.thread(owner, turn.conversation_id, deed=event.text("key", 64))

    def correct(self, owner: str, event: BrowserEvent) -> Feeds:
        """What the answer should have been, kept beside it; with `remove` that is taken back."""
        text = None if event.flag("remove") else event.text("text", MAX_TEXT)
        turn = self._store.feedback.correct(owner, event.turn(), text)
        return self._feeds.thread(owner, turn.conversation_id, deed=event.text("key", 64))

    # -- conversations ---------------------------------------------------------------------------------------------

    def rename(self, owner: str, event: BrowserEvent) -> Feeds:
        conversation_id = event.text("conversation")
        self._store.rename(owner, conversation_id, event.text("title"))
        shown = self._feeds.thread(owner, conversation_id) if event.id("open") == conversation_id else {}
        return {**shown, **self._listed(owner, event)}

    def pin(self, owner: str, event: BrowserEvent) -> Feeds:
        self._store.history.pin(owner, event.text("conversation"), event.flag("on"))
        return self._listed(owner, event)

    def archive(self, owner: str, event: BrowserEvent) -> Feeds:
        self._store.history.archive(owner, event.text("conversation"), event.flag("on"))
        return self._listed(owner, event)

    def tag(self, owner: str, event: BrowserEvent) -> Feeds:
        """These tags and no others."""
        tags = event.texts("tags", 4 * MAX_TAGS, "tags", longest=8 * MAX_TAG_LENGTH)
        self._store.history.tag(owner, event.text("conversation"), tags)
        return self._listed(owner, event)

    def private(self, owner: str, event: BrowserEvent) -> Feeds:
        """Whether this conversation stays out of all training data and of everybody else's sight."""
        conversation_id = event.text("conversation")
        self._store.history.set_private(owner, conversation_id, event.flag("on"))
        return {**self._feeds.thread(owner, conversation_id), **self._listed(owner, event)}

    def delete(self, owner: str, event: BrowserEvent) -> Feeds:
        conversation_id = event.text("conversation")
        self._stop(owner, conversation_id)
        self._store.delete(owner, conversation_id)
        return self._listed(owner, event)

    def _listed(self, owner: str, event: BrowserEvent) -> Feeds:
        return self._feeds.list(owner, view_of(event))
