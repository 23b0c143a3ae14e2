"""What the tests of the log share: a store on a database of its own, and small conversations in it."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path

from PIL import Image
from sqlalchemy import create_engine, make_url, text

from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome, AnswerSettings, Turn

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = AnswerSettings("demo", "llava_v0", "Be brief.", 0.2, 0.7, 64, seed=2**40)
OUTCOME = AnswerOutcome("A red thing.", "stop", None, 12, 4, 80.5, 200.25)


def png(colour: str = "red", size: tuple[int, int] = (4, 3)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


SERVER = os.environ.get("TEST_POSTGRESQL_URL")
"""All of these tests run on PostgreSQL instead if this names a server, as
postgresql+psycopg://user@host/postgres; its user must be allowed to make databases."""


def database_url(folder: Path) -> str:
    """Of a database of this test's own."""
    if SERVER is None:
        return f"sqlite:///{folder}/var/chats.db"
    name = f"log_{hashlib.sha256(str(folder).encode()).hexdigest()[:32]}"
    engine = create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if not connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}):
            connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return make_url(SERVER).set(database=name).render_as_string(hide_password=False)


def open_store(folder: Path) -> ConversationStore:
    return ConversationStore.open(database_url(folder), folder / "pictures")


def asked(store: ConversationStore, text: str = "What is it?", owner: str = "ann") -> Turn:
    """A new conversation with one question."""
    return store.add_question(owner, store.create(owner).id, text)


def answered(
    store: ConversationStore, question: Turn, text: str = "A red thing.", owner: str = "ann"
) -> Turn:
    answer = store.start_answer(owner, question.id, SETTINGS)
    return store.finish_answer(answer.id, replace(OUTCOME, text=text))


def texts(store: ConversationStore, conversation_id: str, owner: str = "ann") -> list[str]:
    return [turn.text for turn in store.load(owner, conversation_id).shown]
