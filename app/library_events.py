"""What happens when an admin does something in the library: the review queue, bulk actions, near-duplicates, the trail.

One method for each event, as in the chat. The page holds filters and ids; who may is asked here, for every event, since
a browser that was not shown the tab can still send them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app import wording
from app.admin_events import AdminEvents, Feeds
from app.browser_event import MAX_TURN_ID
from app.library_exports import LibraryExports
from app.library_groups_view import groups_html
from app.library_request import LibraryRequest
from app.library_trail import deed, trail_html
from app.library_view import item_html, line_html, queue_html
from conversations.actions import Action
from conversations.errors import InvalidText, NotFound
from conversations.feedback import MAX_NOTE_LENGTH
from conversations.filters import Filters
from conversations.review import Item, Place
from conversations.search_words import highlights, searched
from conversations.store import ConversationStore

ITEMS_A_PAGE = 50
GROUPS_SHOWN = 50
ACTIONS_OF_AN_ANSWER = 12


class LibraryEvents(AdminEvents[LibraryRequest]):
    """The library's answers to events; any number of threads may call it."""

    def __init__(
        self, store: ConversationStore, exports: LibraryExports, may_review: Callable[[str], bool]
    ) -> None:
        super().__init__("library", LibraryRequest, may_review)
        self._curation = store.curation
        self._exports = exports

    # -- reading ---------------------------------------------------------------------------------------------------

    def library(self, owner: str, event: LibraryRequest) -> Feeds:
        """That it may be shown, and what its filters offer."""
        return {"door": {"models": self._curation.models(), "tags": self._curation.tags()}}

    def queue(self, owner: str, event: LibraryRequest) -> Feeds:
        """A page of the answers that are meant, and how many there are; or that alone (`only_count`)."""
        filters, after = event.filters(), event.place()
        if event.flag("only_count"):
            return {"queue": {"key": event.text("key", 64), "html": None, "count": self._count(filters)}}
        items = self._curation.page(filters, after, ITEMS_A_PAGE + 1)
        shown = items[:ITEMS_A_PAGE]
        return {
            "queue": {
                "key": event.text("key", 64),
                "html": queue_html(shown),
                "count": self._count(filters) if after is None else None,
                "after": _place(shown[-1].place) if len(items) > len(shown) else None,
                "more": after is not None,
            }
        }

    def item(self, owner: str, event: LibraryRequest) -> Feeds:
        """One answer; `words` are those that were searched for."""
        item, phrases = self._curation.item(event.turn()), searched(event.text("words"))
        return self._item(
            owner,
            replace(
                item,
                question_hits=highlights(item.question, phrases),
                answer_hits=highlights(item.answer, phrases),
            ),
        )

    def _count(self, filters: Filters) -> dict[str, Any]:
        counted = self._curation.count(filters)
        return {"number": counted.number, "capped": counted.capped}

    def groups(self, owner: str, event: LibraryRequest) -> Feeds:
        """Near-duplicates among the answers that are meant."""
        found = self._curation.duplicates(event.filters(), GROUPS_SHOWN)
        return {"groups": {"html": groups_html(found), "number": len(found)}}

    def trail(self, owner: str, event: LibraryRequest) -> Feeds:
        return {"trail": {"html": trail_html(self._curation.trail(limit=100), owner, may_undo=self._may)}}

    # -- deciding --------------------------------------------------------------------------------------------------

    def decide(self, owner: str, event: LibraryRequest) -> Feeds:
        turn = event.turn()
        action = self._curation.set_state(owner, turn, event.state())
        return {**self._item(owner, self._curation.item(turn)), **self._done(action, turn)}

    def rate(self, owner: str, event: LibraryRequest) -> Feeds:
        """A thumb, or "" to take it back. What is not sent along stays: reasons with a thumb down, the note."""
        turn, rating = event.turn(), event.rating()
        before = self._curation.item(turn)
        given = event.reasons() if event.has("reasons") else before.reasons
        reasons = given if rating == "down" else ()
        note = event.text("note", 2 * MAX_NOTE_LENGTH) if event.has("note") else before.note
        note = note.strip() if rating else ""
        if (rating, reasons, note) == (before.rating, before.reasons, before.note):
            return {**self._item(owner, before), **self._said("Nothing was changed.")}
        action = self._curation.rate(owner, turn, rating, reasons=reasons, note=note)
        return {**self._item(owner, self._curation.item(turn)), **self._done(action, turn)}

    def tags(self, owner: str, event: LibraryRequest) -> Feeds:
        turn = event.turn()
        action = self._curation.tag(owner, turn, event.tags())
        return {**self._item(owner, self._curation.item(turn)), **self._done(action, turn)}

    def correct(self, owner: str, event: LibraryRequest) -> Feeds:
        turn, text = event.turn(), event.correction()
        if self._curation.item(turn).correction == text:
            return {**self._item(owner, self._curation.item(turn)), **self._said("Nothing was changed.")}
        action = self._curation.correct(owner, turn, text)
        return {**self._item(owner, self._curation.item(turn)), **self._done(action, turn)}

    def bulk(self, owner: str, event: LibraryRequest) -> Feeds:
        """One thing on all that the filters mean."""
        filters, what = event.filters(), event.text("what", 20)
        if what == "state":
            action = self._curation.set_states(owner, filters, event.state())
        elif what == "tag":
            action = self._curation.add_tag(owner, filters, event.text("tag"))
        elif what == "untag":
            action = self._curation.remove_tag(owner, filters, event.text("tag"))
        else:
            raise InvalidText(wording.FORGED)
        return self._done(action)

    def keep(self, owner: str, event: LibraryRequest) -> Feeds:
        return self._done(self._curation.keep_one(owner, event.answers(), event.turn()))

    def undo(self, owner: str, event: LibraryRequest) -> Feeds:
        """Take back what a reviewer did. What people made of their own answers is theirs to take back."""
        number = event.turn("action")
        found = self._curation.trail(before=min(number + 1, MAX_TURN_ID), limit=1)
        if not found or found[0].id != number or not self._may(found[0].actor):
            raise NotFound(
                f"The action {number} is not a reviewer's, or it is not there; it cannot be taken back."
            )
        action = self._curation.undo(owner, number)
        changed = action.num_answers
        words = f"Taken back on {changed:,} {'answer' if changed == 1 else 'answers'}."
        if not changed:
            words = "Nothing was taken back: something else was decided since."
        shown = self._shown(owner, event)
        return {**self._said(words, changed=shown is None), **(shown or {})}

    # -- exports ---------------------------------------------------------------------------------------------------

    def outlook(self, owner: str, event: LibraryRequest) -> Feeds:
        """What an export would hold, and its first rows."""
        return {"outlook": {"key": event.text("key", 64), **self._exports.outlook(event.order())}}

    def check(self, owner: str, event: LibraryRequest) -> Feeds:
        """One row of it as a trainer will see it."""
        number = event.turn("number")
        return {"check": {"number": number, "html": self._exports.check(event.order(), number)}}

    def export(self, owner: str, event: LibraryRequest) -> Feeds:
        self._exports.start(event.order(), owner)
        return self.jobs(owner, event)

    def again(self, owner: str, event: LibraryRequest) -> Feeds:
        """An earlier export once more, by the description that is stored with it."""
        self._exports.start(self._exports.order(event.text("name", 100)), owner)
        return self.jobs(owner, event)

    def jobs(self, owner: str, event: LibraryRequest) -> Feeds:
        """How the export or import goes that is being made, and what was exported before."""
        return {"jobs": self._exports.told()}

    def halt(self, owner: str, event: LibraryRequest) -> Feeds:
        self._exports.stop()
        return self.jobs(owner, event)

    # -- messages --------------------------------------------------------------------------------------------------

    def _shown(self, owner: str, event: LibraryRequest) -> Feeds | None:
        """The one answer that was meant, as it is now; None where it was many, or it is gone."""
        try:
            return (
                self._item(owner, self._curation.item(event.turn("answer"))) if event.has("answer") else None
            )
        except NotFound:
            return None

    def _item(self, owner: str, item: Item) -> Feeds:
        actions = self._curation.trail(turn_id=item.id, limit=ACTIONS_OF_AN_ANSWER)
        return {"item": {"answer": item.id, "line": line_html(item), "html": item_html(item, actions, owner)}}

    def _done(self, action: Action, answer: int | None = None) -> Feeds:
        words = deed(action)
        undo = action.id if action.num_answers else None
        return self._said(f"{words[0].upper()}{words[1:]}.", undo=undo, answer=answer, changed=answer is None)

    def refused(self, words: str) -> Feeds:
        return self._said(words, failed=True)

    def _said(
        self,
        words: str,
        *,
        undo: int | None = None,
        answer: int | None = None,
        changed: bool = False,
        failed: bool = False,
    ) -> Feeds:
        """`undo`: the action that can be taken back, `answer` the one that it was about; `changed`: many were, so the
        list should be asked for anew."""
        said = {"words": words, "undo": undo, "answer": answer, "changed": changed, "failed": failed}
        return {"said": said}


def _place(place: Place) -> dict[str, Any]:
    return {"at": place.answered_at.isoformat(), "id": place.turn_id}
