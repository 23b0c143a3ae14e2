"""What the tests of the log share: a store on a database of its own, and small conversations in it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from PIL import Image
from sqlalchemy import Connection, create_engine, make_url, text

from conversations.database import Database
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome, AnswerSettings, Turn

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = AnswerSettings("demo", "llava_v0", "Be brief.", 0.2, 0.7, 64, seed=2**40)
OUTCOME = AnswerOutcome("A red thing.", "stop", None, 12, 4, 80.5, 200.25)


def png(colour: str = "red", size: tuple[int, int] = (4, 3)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


SERVER: str | None = None
"""The PostgreSQL server of the test that runs, if it runs on one (the fixture `backend`)."""

TEMPLATE = "llava_loop_test_template"


def database_url(folder: Path) -> str:
    """Of a database of this test's own."""
    if SERVER is None:
        return f"sqlite:///{folder}/var/chats.db"
    name = name_of(folder)
    with _connected(SERVER) as connection:
        if not connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}):
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    return _url(SERVER, name)


def make_template(server: str) -> None:
    """A migrated database without rows, to copy from."""
    with _connected(server) as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {TEMPLATE}"))
        connection.execute(text(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0 ENCODING 'UTF8'"))
    Database(_url(server, TEMPLATE)).close()


def drop_database(server: str, folder: Path) -> None:
    with _connected(server) as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name_of(folder)} WITH (FORCE)"))


def name_of(folder: Path) -> str:
    return f"log_{hashlib.sha256(str(folder).encode()).hexdigest()[:32]}"


def _url(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@contextmanager
def _connected(server: str) -> Iterator[Connection]:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


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
