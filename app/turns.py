"""One turn: check, log, ask, log. Knows no gradio: the page hands it an order and shows what it yields.

A question is in the log before it is asked; its answer is written about every second and, whatever happens, once at the
end. What the model is asked comes from the log alone, never from what a browser sent along.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from app import wording
from app.answering import Answering, Update
from app.worker_client import ChatRequest, ContextTooLong, WorkerError, WorkerEvent
from app.worker_status import WorkerStatus
from conversations.errors import InvalidText, LogError, NotFound
from conversations.messages import ImageRef, Message
from conversations.store import ConversationStore
from conversations.turns import AnswerSettings, Turn

SECONDS_BETWEEN_UPDATES = 0.08
SECONDS_TO_WAIT_FOR_WORKER = 120.0
NUM_KEYS_REMEMBERED = 2_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """A new question at the end of a conversation; `conversation_id` None begins one, `private` if that is said."""

    conversation_id: str | None
    text: str
    pictures: tuple[ImageRef, ...]
    request_key: str
    private: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Another answer to a question that stands; the earlier one stays as a version."""

    question_id: int
    request_key: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Another wording of a question, with the same pictures; the earlier one stays as a version."""

    question_id: int
    text: str
    request_key: str


Order = Ask | Retry | Edit


@dataclass(frozen=True)
class Choices:
    """What the settings say; "" and None leave it to the worker.

    `drop_oldest`: where the conversation is too long, leave out its oldest turns instead of failing.
    """

    model: str = ""
    system_prompt: str = ""
    temperature: float = 0.2
    top_p: float = 0.7
    max_new_tokens: int = 512
    seed: int | None = None
    drop_oldest: bool = False


class AsksWorker(Protocol):
    """The part of WorkerClient that is needed here."""

    def stream(self, request: ChatRequest) -> Iterator[WorkerEvent]: ...


class Turns:
    """Runs turns for every visitor; any number of threads may call it."""

    def __init__(
        self,
        store: ConversationStore,
        worker: AsksWorker,
        status: Callable[[], WorkerStatus],
        *,
        seconds_between_updates: float = SECONDS_BETWEEN_UPDATES,
        seconds_to_wait: float = SECONDS_TO_WAIT_FOR_WORKER,
    ) -> None:
        self._store = store
        self._worker = worker
        self._status = status
        self._pause = seconds_between_updates
        self._patience = seconds_to_wait
        self._lock = threading.Lock()
        self._stops: dict[
            str, threading.Event
        ] = {}  # by conversation: one has at most one answer in the making
        self._begun: OrderedDict[tuple[str, str], str] = OrderedDict()

    def run(self, owner: str, order: Order, choices: Choices) -> Generator[Update, None, None]:
        """Log the question, ask, and yield until the answer has ended; the last update has `ended` set.

        Raises a LogError before anything is asked: the draft is to be kept then. AlreadyAnswered and AnswerRunning mean
        that nothing is lost: the same request is, or was, answered. Closing the iterator stops the answer.
        """
        choices = _checked(choices)
        question = self._question(owner, order)
        settings = self._settings(choices)
        answer = self._store.start_answer(owner, question.id, settings, request_key=order.request_key)
        answering = Answering(self._store, question, answer.id, self._pause)
        with self._lock:
            self._stops[question.conversation_id] = answering.stop
        try:
            yield answering.update("Sending")
            yield from self._ask(owner, answering, settings, choices)
        except GeneratorExit:
            answering.end("stopped", f"{wording.PAGE_LEFT}: {wording.LEFT}")
            raise
        except WorkerError as error:
            answering.end("failed", wording.reason_of(error, alone=answering.num_turns == 1))
        except LogError as error:
            answering.end("failed", wording.reason_of(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the person is told and may retry
            _log.exception("an answer failed in a way that nobody foresaw")
            answering.end("failed", wording.reason_of(error))
        except BaseException as error:  # the program is being ended
            answering.end("failed", wording.broken_off(error))
            raise
        finally:
            with self._lock:
                if self._stops.get(question.conversation_id) is answering.stop:
                    del self._stops[question.conversation_id]
            answering.save_end()
        yield answering.update()

    def stop(self, owner: str, conversation_id: str) -> bool:
        """Stop what is being answered in this conversation, shown or not. Whether there was something.

        Raises NotFound."""
        self._store.load(owner, conversation_id)  # is it theirs?
        with self._lock:
            event = self._stops.get(conversation_id)
        if event is None:
            return self._store.interrupt(owner, conversation_id)
        event.set()
        return True

    def _question(self, owner: str, order: Order) -> Turn:
        if isinstance(order, Retry):
            return self._store.turn(owner, order.question_id)
        if isinstance(order, Edit):
            before = self._store.turn(owner, order.question_id)
            if before.role != "user":
                raise NotFound("Only a question can be edited; this is an answer.")
            return self._store.add_question(
                owner,
                before.conversation_id,
                order.text,
                before.images,
                parent_id=before.parent_id,
                request_key=order.request_key,
            )
        if not order.text.strip() and not order.pictures:
            raise InvalidText(wording.NOTHING_TO_SEND)
        conversation_id = order.conversation_id or self._begin(owner, order)
        shown = self._store.load(owner, conversation_id).shown
        return self._store.add_question(
            owner,
            conversation_id,
            order.text,
            order.pictures,
            parent_id=_place_after(shown),
            request_key=order.request_key,
        )

    def _begin(self, owner: str, order: Ask) -> str:
        """A new conversation; for the same request, sent twice, the same one."""
        with self._lock:
            known = self._begun.get((owner, order.request_key))
            if known is None:
                known = self._begun[owner, order.request_key] = self._store.create(owner).id
                if order.private:  # before there is anything in it
                    self._store.history.set_private(owner, known, True)
                while len(self._begun) > NUM_KEYS_REMEMBERED:
                    self._begun.popitem(last=False)
            return known

    def _settings(self, choices: Choices) -> AnswerSettings:
        """What is logged: the seed is drawn here, so that every answer can be had again where the server takes one."""
        model, template = self._model_and_template(choices)
        drawn = None if "seed" in self._status().lacks else secrets.randbelow(2**31)
        return AnswerSettings(
            model=model,
            template=template,
            system_prompt=choices.system_prompt,
            temperature=choices.temperature,
            top_p=choices.top_p,
            max_new_tokens=choices.max_new_tokens,
            seed=drawn if choices.seed is None else choices.seed,
        )

    def _with_worker(self, answer_id: int, settings: AnswerSettings, choices: Choices) -> AnswerSettings:
        """The settings with what the worker, now that it is there, says of itself; the log is told what changed."""
        model, template = self._model_and_template(choices)
        if (model, template) == (settings.model, settings.template):
            return settings
        self._store.set_model(answer_id, model, template)
        return replace(settings, model=model, template=template)

    def _model_and_template(self, choices: Choices) -> tuple[str, str]:
        """As far as they are known: "" until the worker has told."""
        health = self._status().health
        return choices.model or (health.model if health else ""), (health.template or "") if health else ""

    def _ask(
        self, owner: str, answering: Answering, settings: AnswerSettings, choices: Choices
    ) -> Iterator[Update]:
        yield from self._wait_for_worker(answering)
        if answering.stop.is_set():
            answering.end("stopped")
            return
        settings = self._with_worker(answering.answer_id, settings, choices)
        messages = messages_of(self._store.path(owner, answering.question.id))
        while True:
            answering.num_turns = len(messages)
            request = ChatRequest(
                messages=messages,
                model=settings.model,
                system_prompt=settings.system_prompt or None,
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_new_tokens=settings.max_new_tokens,
                seed=settings.seed,
            )
            try:
                yield from answering.listen(self._worker.stream(request))
                return
            except ContextTooLong:
                if not choices.drop_oldest or len(messages) < 3:
                    raise
                messages = messages[2:]
                answering.num_left_out += 2

    def _wait_for_worker(self, answering: Answering) -> Iterator[Update]:
        """While the worker starts, say so; if it does not come, asking will tell why. While it is paused for a run, the
        question waits as long as that takes, or until it is stopped."""
        until = time.monotonic() + self._patience
        while (status := self._status()).waits and not status.ready:
            if status.paused:
                until = time.monotonic() + self._patience
            elif time.monotonic() > until:
                return
            yield answering.update(status.words)
            if answering.stop.wait(0.25):
                return


def _place_after(shown: tuple[Turn, ...]) -> int | None:
    """The answer below which a new question stands. A last question that was never asked, because the program ended
    just then, becomes the earlier version of the new one."""
    if not shown:
        return None
    return shown[-1].id if shown[-1].role == "assistant" else shown[-1].parent_id


def messages_of(path: tuple[Turn, ...]) -> tuple[Message, ...]:
    """What the model is asked: each question that was answered with some text, its answer, and the last question."""
    *earlier, question = path
    messages: list[Message] = []
    for asked, answer in pairwise(earlier):
        if asked.role == "user" and answer.role == "assistant" and answer.text.strip():
            messages += [asked.message, answer.message]
    return (*messages, question.message)


def _checked(choices: Choices) -> Choices:
    """The choices, or InvalidText: they come from a browser."""
    if "\0" in choices.system_prompt:
        raise InvalidText("The system prompt contains a NUL character, which cannot be kept; remove it.")
    if not 0 <= choices.temperature <= 2 or not 0 < choices.top_p <= 1:
        raise InvalidText("Temperature is 0 to 2 and top-p above 0 to 1; set them again in the settings.")
    if not 1 <= choices.max_new_tokens <= 32_768:
        raise InvalidText("The answer's length is 1 to 32,768 tokens; set it again in the settings.")
    if choices.seed is not None and not 0 <= choices.seed < 2**63:
        raise InvalidText(
            "The seed is a whole number from 0; set it again in the settings, or leave it empty."
        )
    return choices
