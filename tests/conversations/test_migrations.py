"""A log of an earlier version is brought up to date with everything in it, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, make_url, text

from conversations.database import MIGRATIONS
from conversations.filters import Filters
from tests.conversations import small_log
from tests.conversations.small_log import answered, open_store, texts

TIME = "2026-01-0{0} 10:00:00"
PICTURE = "a" * 64


@pytest.fixture
def first_version(backend: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with the tables of revision 0001."""
    if backend == "sqlite":
        (tmp_path / "var" / "chats.db").unlink()
        url = f"sqlite:///{tmp_path}/var/chats.db"
    else:
        server = small_log.SERVER
        assert server is not None
        name = small_log.name_of(tmp_path)
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))
        engine.dispose()
        url = make_url(server).set(database=name).render_as_string(hide_password=False)
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    yield url
    engine.dispose()


def fill(url: str) -> None:
    """ann's question with a picture, two answers, a follow-up with its answer; the second answer is rated."""
    turns = [
        (1, None, "user", "What is it? I am ann@example.org", True, None),
        (2, 1, "assistant", "A cup.", False, None),
        (3, 1, "assistant", "A jug.", True, "down"),
        (4, 3, "user", "Sure?", True, None),
        (5, 4, "assistant", "Call +49 30 1234567.", True, "up"),
    ]
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO conversations (id, owner, title, system_prompt, created_at, updated_at)"
                " VALUES ('c', 'ann', 'What is it?', '', '2026-01-01', '2026-01-05'),"
                " ('d', 'ann', 'Plain', '', '2026-01-01', '2026-01-02')"
            )
        )
        connection.execute(text(f"INSERT INTO pictures VALUES ('{PICTURE}', 4, 3, '2026-01-01')"))
        for id_, parent_id, role, words, is_shown, rating in turns:
            connection.execute(
                text(
                    "INSERT INTO turns (id, conversation_id, parent_id, role, text, is_shown, rating, created_at)"
                    " VALUES (:id, 'c', :parent_id, :role, :words, :is_shown, :rating, :time)"
                ),
                {
                    "id": id_,
                    "parent_id": parent_id,
                    "role": role,
                    "words": words,
                    "is_shown": is_shown,
                    "rating": rating,
                    "time": TIME.format(id_),
                },
            )
            if role == "assistant":
                connection.execute(
                    text(
                        "INSERT INTO answers (turn_id, conversation_id, page, model, template, system_prompt,"
                        " temperature, top_p, max_new_tokens, finish_reason)"
                        " VALUES (:id, 'c', '', 'demo', 'llava_v0', '', 0, 1, 9, 'stop')"
                    ),
                    {"id": id_},
                )
        connection.execute(text(f"INSERT INTO turn_pictures VALUES (1, 0, '{PICTURE}')"))
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT setval('turns_id_seq', 5)"))
    engine.dispose()


def test_an_earlier_log_keeps_everything_and_gains_what_is_new(first_version: str, tmp_path: Path) -> None:
    fill(first_version)
    store = open_store(tmp_path)
    assert texts(store, "c") == [
        "What is it? I am ann@example.org",
        "A jug.",
        "Sure?",
        "Call +49 30 1234567.",
    ]
    assert [turn.rating for turn in store.load("ann", "c").shown] == [None, "down", None, "up"]
    everything = store.curation.page(Filters())
    assert [item.id for item in everything] == [5, 3, 2]
    assert [item.answered_at.day for item in everything] == [5, 3, 2]
    assert all(item.state == "pending" and item.pictures for item in everything)
    assert store.curation.count(Filters(has_picture=True, rating="down")).number == 1
    assert (
        store.curation.duplicates(Filters()) == []
    )  # the picture has no file, and versions are no duplicates
    assert [summary.id for summary in store.recent("ann", "jug")] == ["c"]
    assert [summary.id for summary in store.recent("ann", "is it")] == ["c"]
    (logged,) = (each for each in store.reader.conversations(Filters()) if each.id == "c")
    masks = {turn.id: turn.masked_text for turn in logged.turns}
    assert masks == {1: "What is it? I am [email]", 2: None, 3: None, 4: None, 5: "Call [phone]."}
    question = store.add_question("ann", "c", "And now?", parent_id=5)
    assert question.id == 6 and answered(store, question).num_versions == 1
    store.delete("ann", "c")
    assert store.recent("ann", "jug") == [] and store.curation.page(Filters()) == []
    store.close()


def test_an_empty_earlier_log_is_brought_up_to_date(first_version: str, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert store.recent("ann") == []
    store.close()
