"""A small log for the library's tests: two people, a wrong answer with a picture, and a private conversation."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome, AnswerSettings, Turn

ROOT_USER, ANN, BOB = "user:root", "user:ann", "user:bob"
SETTINGS = AnswerSettings("scripted", "llava_v0", "", 0.2, 0.7, 64)


@dataclass(frozen=True)
class SmallLog:
    """Ids of answers: ann's wrong one with a red picture, bob's without one, and ann's private one with a blue one."""

    wrong: int
    plain: int
    private: int


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def answered(store: ConversationStore, owner: str, question: str, answer: str, colour: str = "") -> Turn:
    images = [store.images.add(png(colour))] if colour else []
    asked = store.add_question(owner, store.create(owner).id, question, images)
    running = store.start_answer(owner, asked.id, SETTINGS)
    return store.finish_answer(running.id, AnswerOutcome(answer, "stop"))


def write(store: ConversationStore) -> SmallLog:
    wrong = answered(store, ANN, "What <b>colour</b> is it?", "Blue. Mail ann@example.org", "red")
    plain = answered(store, BOB, "Who are you?", "A model.")
    private = answered(store, ANN, "A secret?", "Yes.", "blue")
    store.history.set_private(ANN, private.conversation_id, True)
    return SmallLog(wrong.id, plain.id, private.id)
