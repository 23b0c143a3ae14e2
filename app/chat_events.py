"""What happens when a person does something in the chat. One method for each event of the page.

Every method gets the owner and what the browser sent, and gives messages for the page's feeds: a feed that is not named
stays as it is. Nothing here is kept between two events: the page holds ids, the log holds the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from html import escape
from itertools import count
from typing import Any

from app import wording
from app.answer_markup import answer_html
from app.answering import Update
from app.browser_event import MAX_TEXT, BrowserEvent
from app.fair_share import FairShare
from app.model_picker import NOT_FOR_YOU, ModelPicker
from app.picture_routes import Tickets
from app.prompt_view import PromptView
from app.sidebar_view import sidebar_html
from app.thread_view import thread_html
from app.turns import Ask, Choices, Edit, Order, Retry, Turns
from app.visitors import username_of
from app.worker_client import WorkerError
from app.worker_status import WorkerStatus
from conversations.errors import AlreadyAnswered, InvalidText, LogError, NotFound
from conversations.store import ConversationStore

Feeds = dict[str, dict[str, Any]]
"""Feed name ("thread", "live", "list", "notice", "status", "prompt") to its message."""

MAX_PICTURES = 10
CONVERSATIONS_A_PAGE = 50
MAX_LISTED = 10_000

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
        self._numbers = count(1)

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
                yield self._shown(owner, self._store.turn(owner, error.answer_id).conversation_id, key=key)
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
                    yield {**self._thread_of(owner, update, key), **self._listed(owner)}
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
        return Ask(event.id("conversation"), event.text("text", MAX_TEXT), pictures, key)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def open(self, owner: str, event: BrowserEvent) -> Feeds:
        """A conversation; one that is not there, or not theirs, comes as `gone`, so that the page leaves it."""
        conversation_id = event.text("conversation")
        try:
            return self._shown(owner, conversation_id)
        except NotFound as error:
            gone = {"conversation": conversation_id, "gone": True, "title": "", "html": "", "key": ""}
            return {"thread": {"n": next(self._numbers), **gone}, **self._refused(error)}

    def version(self, owner: str, event: BrowserEvent) -> Feeds:
        """Show the version before or after this turn."""
        turn = self._store.turn(owner, event.turn())
        versions = self._store.versions(owner, turn.id)
        index = [each.id for each in versions].index(turn.id) + event.step()
        if 0 <= index < len(versions):
            self._store.show(owner, versions[index].id)
        return self._shown(owner, turn.conversation_id)

    def list(self, owner: str, event: BrowserEvent) -> Feeds:
        """The newest conversations, as many as the page wants to show, that contain what is searched for."""
        return self._listed(owner, event.text("search"), event.count("shown", CONVERSATIONS_A_PAGE, MAX_LISTED))

    def status(self, owner: str, event: BrowserEvent) -> Feeds:
        """The worker's state, and what the model says of itself."""
        status = self._status()
        tone = "ready" if status.ready else ("waiting" if status.waits else "failed")
        health = status.health
        return {
            "status": {
                "n": next(self._numbers),  # it tells the page that the program is still there
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
        return {"prompt": {"n": next(self._numbers), "turn": turn_id, "html": html}}

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

    # -- changes ---------------------------------------------------------------------------------------------------

    def rate(self, owner: str, event: BrowserEvent) -> Feeds:
        rating = event.text("rating")
        if rating not in ("up", "down", ""):
            raise InvalidText(wording.FORGED)
        turn_id = event.turn()
        self._store.rate(owner, turn_id, rating or None)  # type: ignore[arg-type]
        return self._shown(owner, self._store.turn(owner, turn_id).conversation_id)

    def rename(self, owner: str, event: BrowserEvent) -> Feeds:
        conversation_id = event.text("conversation")
        self._store.rename(owner, conversation_id, event.text("title"))
        shown = self._shown(owner, conversation_id) if event.id("open") == conversation_id else {}
        return {**shown, **self._listed(owner)}

    def delete(self, owner: str, event: BrowserEvent) -> Feeds:
        conversation_id = event.text("conversation")
        self._turns.stop(owner, conversation_id)
        self._store.delete(owner, conversation_id)
        return self._listed(owner)

    def answered(
        self, what: Callable[[str, BrowserEvent], Feeds], owner: str | None, data: object
    ) -> Feeds:
        """The outcome of an event, or the sentence that tells why there is none."""
        if owner is None:
            return self._notice(wording.NO_COOKIE)
        try:
            return what(owner, BrowserEvent(data))
        except LogError as error:
            return self._refused(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the person is told
            return self._failed(error)

    def streamed(self, owner: str | None, data: object, address: str | None = None) -> Iterator[Feeds]:
        """A turn's messages; a refusal is one of them."""
        if owner is None:
            yield self._notice(wording.NO_COOKIE)
            return
        try:
            event = BrowserEvent(data)
        except LogError as error:
            yield self._refused(error)
            return
        yield from self.turn(owner, event, address)

    # -- messages --------------------------------------------------------------------------------------------------

    def _thread_of(self, owner: str, update: Update, key: str) -> Feeds:
        shown = self._shown(owner, update.conversation_id, key=key)
        if "thread" in shown:
            shown["thread"] |= {"answer": update.answer_id, "ended": update.ended is not None}
        if update.ended is not None and update.note:
            shown |= self._notice(update.note)
        return shown

    def _shown(self, owner: str, conversation_id: str, *, key: str = "") -> Feeds:
        conversation = self._store.load(owner, conversation_id)
        return {
            "thread": {
                "n": next(self._numbers),
                "key": key,
                "conversation": conversation.id,
                "title": conversation.title,
                "html": thread_html(conversation.shown),
            }
        }

    def _listed(self, owner: str, search: str = "", shown: int = CONVERSATIONS_A_PAGE) -> Feeds:
        searched = search.strip()
        found = self._store.recent(owner, searched, limit=shown + 1)
        more = len(found) > shown
        html = sidebar_html(found[:shown], now=datetime.now().astimezone(), searched=searched, more=more)
        # Told back as it was sent: browsers strip other characters than Python does.
        return {"list": {"n": next(self._numbers), "search": search, "shown": shown, "more": more, "html": html}}

    def _refused(self, error: LogError, key: str = "") -> Feeds:
        _log.info("refused: %s", error)
        return self._notice(wording.sentence(error), key)

    def _failed(self, error: Exception, key: str = "") -> Feeds:
        _log.exception("an event failed in a way that nobody foresaw")
        return self._notice(wording.sentence(error), key)

    def _notice(self, words: str, key: str = "") -> Feeds:
        return {"notice": {"n": next(self._numbers), "words": words, "key": key}}


def _live(update: Update) -> dict[str, Any]:
    return {
        "conversation": update.conversation_id,
        "answer": update.answer_id,
        "phase": update.phase,
        "html": answer_html(update.text),
    }
