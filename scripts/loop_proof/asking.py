"""Many questions to the page, a few at a time, and the answers as the log has kept them."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conversations.filters import Filters
from conversations.review import Item
from conversations.store import ConversationStore
from scripts.loop_proof.person import Person
from scripts.loop_proof.skill import Task

PICTURE_SIZE = 240  # larger than the tower's own, so that pictures take the way of a person's
AT_ONCE = 3  # the page gives a visitor four places
PATIENCE_SECONDS = 300.0


class NotAnswered(Exception):
    """A question got no whole answer; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A task with the answer that the log holds."""

    task: Task
    answer_id: int
    text: str
    model: str


def picture_bytes(task: Task) -> bytes:
    """The task's picture as a PNG file."""
    data = io.BytesIO()
    task.picture(PICTURE_SIZE).save(data, "PNG")
    return data.getvalue()


def ask(
    person: Person, store: ConversationStore, tasks: Sequence[Task], folder: Path, num_typed: int
) -> list[Answered]:
    """All of them, in this order, the first few typed. `folder` is for their pictures. Raises NotAnswered."""
    typed = [_typed(person, store, task, folder) for task in tasks[:num_typed]]
    return typed + _sent(person, store, tasks[num_typed:])


def _typed(person: Person, store: ConversationStore, task: Task, folder: Path) -> Answered:
    file = folder / "picture.png"
    file.write_bytes(picture_bytes(task))
    return _answered(task, store.curation.item(person.ask(task.question, file)))


def _sent(person: Person, store: ConversationStore, tasks: Sequence[Task]) -> list[Answered]:
    """Each in a conversation of its own, a few at a time."""
    newest = store.curation.page(Filters(), limit=1)
    before = newest[0].id if newest else 0
    waiting: dict[str, int] = {}  # of a picture, the place of its task
    answered: dict[int, Answered] = {}
    left = list(enumerate(tasks))
    until = time.monotonic() + PATIENCE_SECONDS
    while left or waiting:
        while left and len(waiting) < AT_ONCE:
            place, task = left.pop(0)
            waiting[person.send(task.question, picture_bytes(task))] = place
        person.page.wait_for_timeout(60)  # the tab's own messages are handled meanwhile
        for item in store.curation.page(Filters(), limit=AT_ONCE + len(waiting)):
            known = waiting.get(item.pictures[-1].sha256) if item.pictures and item.id > before else None
            if known is not None and item.finish_reason != "running":
                answered[known] = _answered(tasks[known], item)
                del waiting[item.pictures[-1].sha256]
                until = time.monotonic() + PATIENCE_SECONDS
        if time.monotonic() > until:
            raise NotAnswered(f"{len(waiting)} questions had no answer within {PATIENCE_SECONDS:g} seconds.")
    return [answered[place] for place in range(len(tasks))]


def _answered(task: Task, item: Item) -> Answered:
    if item.finish_reason not in ("stop", "length"):
        raise NotAnswered(
            f"“{item.question}” ended as {item.finish_reason}: {item.error or 'no reason is known'}."
        )
    return Answered(task, item.id, item.answer.strip(), item.model)
