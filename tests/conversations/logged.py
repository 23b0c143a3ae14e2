"""Logged conversations for tests, written as people would tell them."""

from __future__ import annotations

import io
from itertools import count
from typing import Any

from PIL import Image

from conversations.examples import LoggedConversation, LoggedTurn
from conversations.image_store import ImageStore


class Talk:
    """Turns of one conversation; each goes under the last one, or under `under`."""

    def __init__(self, id: str = "c1", *, private: bool = False) -> None:
        self._id = id
        self._private = private
        self._turns: list[LoggedTurn] = []
        self._numbers = count(1)

    def ask(self, text: str = "What is it?", *images: str, under: int | None = -1, **more: Any) -> int:
        return self._add("user", text, under, images=images, **more)

    def answer(self, text: str = "A cat.", *, under: int | None = -1, **more: Any) -> int:
        return self._add("assistant", text, under, **{"finish_reason": "stop", **more})

    def _add(self, role: Any, text: str, under: int | None, **more: Any) -> int:
        parent_id = under if under != -1 else (self._turns[-1].id if self._turns else None)
        turn = LoggedTurn(next(self._numbers), parent_id, role, text, **more)
        self._turns.append(turn)
        return turn.id

    @property
    def logged(self) -> LoggedConversation:
        return LoggedConversation(self._id, tuple(self._turns), self._private)


def talk(id: str, *turns: tuple[str, str], images: tuple[str, ...] = (), **answer: Any) -> LoggedConversation:
    """Questions and answers; the pictures stand in the first question."""
    told = Talk(id)
    for number, (question, text) in enumerate(turns or (("What is it?", "A cat."),)):
        told.ask(question, *(images if number == 0 else ()))
        told.answer(text, **answer)
    return told.logged


def picture(images: ImageStore, colour: str = "red") -> str:
    """A stored picture of one colour, by its SHA-256."""
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(buffer, "PNG")
    return images.add(buffer.getvalue()).sha256
