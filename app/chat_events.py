"""What happens when a person does something in the chat. One method for each event of the page.

Every method gets the owner and what the browser sent, and gives messages for the page's feeds: a feed that is not named
stays as it is. Nothing here is kept between two events: the page holds ids, the log holds the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from html import escape
from typing import Any

from app import wording
from app.answer_markup import answer_html
from app.answering import Update
from app.browser_event import MAX_TEXT, BrowserEvent
from app.chat_feeds import ChatFeeds, Feeds, view_of
from app.fair_share import FairShare
from app.model_picker import NOT_FOR_YOU, ModelPicker
from app.own_events import OwnEvents
from app.picture_routes import Tickets
from app.prompt_view import PromptView
from app.sidebar_view import ListView
from app.turns import Ask, Choices, Edit, Order, Retry, Turns
from app.visitors import username_of
from app.worker_client import WorkerError
from app.worker_status import WorkerStatus
from conversations.errors import AlreadyAnswered, InvalidText, LogError, NotFound
from conversations.store import ConversationStore

MAX_PICTURES = 10

ANSWERS_OF_OWNER, ANSWERS_OF_ADDRESS = 4, 16
"""At the same time; the page holds 32 streams open in all."""

_log = logging.getLogger(__name__)


class ChatEvents:
    """The chat's answers to events; any number of threads may call it."""

    def __init__(
        self,
        store: ConversationStore,
        turns: Turns,
        tickets: Tickets,
        status: Callable[[], WorkerStatus],
        *,
        restart: Callable[[], None] | None = None,
        may_restart: Callable[[str], bool] = lambda owner: False,
        prompts: PromptView | None = None,
        models: ModelPicker | None = None,
    ) -> None:
        """`restart` starts the worker again, None where it runs elsewhere; `may_restart` says which owner may ask.

        `prompts` shows what the model saw, None where nothing can; `models` changes the model for those who may
        restart it, None where it runs elsewhere.
        """
        self._store = store
        self._turns = turns
        self._tickets = tickets
        self._status = status
        self._restart = restart
        self._may_restart = may_restart
        self._prompts = prompts
        self._models = models
        self._answers = FairShare(ANSWERS_OF_OWNER, ANSWERS_OF_ADDRESS, wording.too_many_answers)
        self._feeds = ChatFeeds(store)
        self.own = OwnEvents(store, self._feeds, turns.stop)

    # -- a turn ----------------------------------------------------------------------------------------------------

    def turn(self, owner: str, event: BrowserEvent, address: str | None = None) -> Iterator[Feeds]:
        """Ask, answer again or ask anew, and stream the answer. `address` is the network address that asks."""
        key = ""
        try:
            key = event.text("key", 64)
            order = self._order(owner, event, key)
            try:
                with self._answers.place(owner, address):
                    yield from self._turn(owner, order, event.choices(), key)
            except AlreadyAnswered as error:
                yield self._feeds.thread(
                    owner, self._store.turn(owner, error.answer_id).conversation_id, key=key
                )
        except LogError as error:
            yield self._refused(error, key)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page must not wait for ever
            yield self._failed(error, key)

    def _turn(self, owner: str, order: Order, choices: Choices, key: str) -> Iterator[Feeds]:
        """Every message carries the key: the framework may drop one that the next overtakes."""
        first = True
        with closing(self._turns.run(owner, order, choices)) as updates:
            for update in updates:
                if update.ended is not None or first:
                    yield {**self._thread_of(owner, update, key), **self._feeds.list(owner, ListView())}
                else:
                    yield {"live": _live(update) | {"key": key}}
                first = False

    def stop(self, owner: str, event: BrowserEvent) -> Feeds:
        conversation_id = event.text("conversation")
        self._turns.stop(owner, conversation_id)
        return {}

    def _order(self, owner: str, event: BrowserEvent, key: str) -> Order:
        kind = event.text("kind")
        if kind == "retry":
            return Retry(event.turn(), key)
        if kind == "edit":
            return Edit(event.turn(), event.text("text", MAX_TEXT), key)
        if kind != "ask":
            raise InvalidText(wording.FORGED)
        pictures = tuple(self._tickets.read(owner, each) for each in event.texts("pictures", MAX_PICTURES))
        text, private = event.text("text", MAX_TEXT), event.flag("private")
        return Ask(event.id("conversation"), text, pictures, key, private)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def open(self, owner: str, event: BrowserEvent) -> Feeds:
        """A conversation; one that is not there, or not theirs, comes as `gone`, so that the page leaves it. `turn`,
        where a search found its words, is brought into view, and its version is shown."""
        conversation_id = event.text("conversation")
        try:
            focus = event.turn() if event.has("turn") else None
            if focus is not None:
                shown = self._store.load(owner, conversation_id).shown
                inside = self._store.turn(owner, focus).conversation_id == conversation_id
                if inside and focus not in [turn.id for turn in shown]:
                    self._store.show(owner, focus)
            return self._feeds.thread(owner, conversation_id, focus=focus)
        except NotFound as error:
            gone = {"conversation": conversation_id, "gone": True, "title": "", "html": "", "key": ""}
            return {"thread": {"n": self._feeds.number(), **gone}, **self._refused(error)}

    def version(self, owner: str, event: BrowserEvent) -> Feeds:
        """Show the version before or after this turn."""
        turn = self._store.turn(owner, event.turn())
        versions = self._store.versions(owner, turn.id)
        index = [each.id for each in versions].index(turn.id) + event.step()
        if 0 <= index < len(versions):
            self._store.show(owner, versions[index].id)
        return self._feeds.thread(owner, turn.conversation_id)

    def list(self, owner: str, event: BrowserEvent) -> Feeds:
        """The conversations that the page wants to show: the newest, found by words, of a tag, or the archived."""
        return self._feeds.list(owner, view_of(event))

    def status(self, owner: str, event: BrowserEvent) -> Feeds:
        """The worker's state, and what the model says of itself."""
        status = self._status()
        tone = "ready" if status.ready else ("waiting" if status.waits else "failed")
        health = status.health
        return {
            "status": {
                "n": self._feeds.number(),  # it tells the page that the program is still there
                "words": status.words,
                "tone": tone,
                "about": status.about,
                "model": health.model if health else "",
                "models": list(status.models),
                "system": (health.system or "") if health else "",
                "user": username_of(owner) or "",
                "lacks": " ".join(status.lacks),
                "can_restart": tone == "failed" and self._restart is not None and self._may_restart(owner),
                "picker": self._models.told() if self._models and self._may_restart(owner) else None,
            }
        }

    def prompt(self, owner: str, event: BrowserEvent) -> Feeds:
        """What the model saw when it gave this answer; where that cannot be told, why."""
        turn_id = event.turn()
        try:
            if self._prompts is None:
                raise InvalidText("This page shows no prompts.")
            html = self._prompts.html(owner, turn_id)
        except (WorkerError, LogError) as error:
            html = f'<p class="facts">{escape(wording.sentence(error))}</p>'
        return {"prompt": {"n": self._feeds.number(), "turn": turn_id, "html": html}}

    def switch(self, owner: str, event: BrowserEvent) -> Feeds:
        """Change the model; the status tells how it goes."""
        if self._models is None or not self._may_restart(owner):
            raise InvalidText(NOT_FOR_YOU)
        self._models.switch(event)
        return self.status(owner, event)

    def restart(self, owner: str, event: BrowserEvent) -> Feeds:
        """Start a worker that failed again; the status tells how it goes."""
        if self._restart is None or not self._may_restart(owner):
            raise InvalidText("Only an admin of this page can start the model again; ask one of them.")
        self._restart()
        return {}

    # -- to and fro ------------------------------------------------------------------------------------------------

    def answered(self, what: Callable[[str, BrowserEvent], Feeds], owner: str | None, data: object) -> Feeds:
        """The outcome of an event, or the sentence that tells why there is none."""
        if owner is None:
            return self._feeds.notice(wording.NO_COOKIE)
        key = ""
        try:
            event = BrowserEvent(data)
            key = event.text("key", 64)
            return what(owner, event)
        except LogError as error:
            return self._refused(error, key)
        except Exception as error:  # noqa: BLE001 - whatever it is, the person is told
            return self._failed(error, key)

    def streamed(self, owner: str | None, data: object, address: str | None = None) -> Iterator[Feeds]:
        """A turn's messages; a refusal is one of them."""
        if owner is None:
            yield self._feeds.notice(wording.NO_COOKIE)
            return
        try:
            event = BrowserEvent(data)
        except LogError as error:
            yield self._refused(error)
            return
        yield from self.turn(owner, event, address)

    # -- messages --------------------------------------------------------------------------------------------------

    def _thread_of(self, owner: str, update: Update, key: str) -> Feeds:
        shown = self._feeds.thread(owner, update.conversation_id, key=key)
        if "thread" in shown:
            shown["thread"] |= {"answer": update.answer_id, "ended": update.ended is not None}
        if update.ended is not None and update.note:
            shown |= self._feeds.notice(update.note)
        return shown

    def _refused(self, error: LogError, key: str = "") -> Feeds:
        _log.info("refused: %s", error)
        return self._feeds.notice(wording.sentence(error), key)

    def _failed(self, error: Exception, key: str = "") -> Feeds:
        _log.exception("an event failed in a way that nobody foresaw")
        return self._feeds.notice(wording.sentence(error), key)


def _live(update: Update) -> dict[str, Any]:
    return {
        "conversation": update.conversation_id,
        "answer": update.answer_id,
        "phase": update.phase,
        "html": answer_html(update.text),
    }
