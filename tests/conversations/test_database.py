"""Opening the database: made, migrated, or refused with the remedy and left as it was."""

from __future__ import annotations

import re
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from conversations import database as database_module
from conversations.database import Database
from conversations.errors import (
    DatabaseRefused,
)
from conversations.tables import Base


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_migrations_from_empty_make_exactly_the_tables(tmp_path: Path) -> None:
    Database(url(tmp_path / "deep" / "chats.db")).close()
    engine = create_engine(url(tmp_path / "deep" / "chats.db"))
    with engine.connect() as connection:
        options = {
            "compare_type": True,
            "include_name": lambda name, *_: not str(name).startswith("turn_search"),
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
        made = connection.execute(
            text("SELECT sql FROM sqlite_master WHERE name = 'uq_answers_running'")
        ).scalar()
    engine.dispose()
    assert "WHERE finish_reason = 'running'" in str(made)


def test_constraints_made_by_migration_are_those_of_the_tables(tmp_path: Path) -> None:
    Database(url(tmp_path / "migrated.db")).close()
    engine = create_engine(url(tmp_path / "created.db"))
    Base.metadata.create_all(engine)
    engine.dispose()
    shapes = []
    for name in ("migrated.db", "created.db"):
        connection = sqlite3.connect(tmp_path / name)
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE name != 'alembic_version' AND name NOT LIKE 'turn_search%'"
        ).fetchall()
        connection.close()
        shapes.append({key: _parts(sql) for key, sql in rows if sql})
    assert shapes[0] == shapes[1]


def _parts(sql: str) -> list[str]:
    """Columns and constraints, in any order: a column that was added later stands last."""
    plain = " ".join(sql.replace('"', "").replace("('')", "''").split())
    return sorted(part.strip(" ()") for part in re.split(r",(?![^(]*\))|\(", plain))


def test_the_schema_suits_postgresql() -> None:
    dialect = postgresql.dialect()
    statements = [str(CreateTable(table).compile(dialect=dialect)) for table in Base.metadata.sorted_tables]
    indexes = [index for table in Base.metadata.sorted_tables for index in table.indexes]
    statements += [str(CreateIndex(index).compile(dialect=dialect)) for index in indexes]
    everything = "\n".join(statements)
    assert "BIGSERIAL" in everything and "TIMESTAMP WITH TIME ZONE" in everything
    assert "WHERE finish_reason = 'running'" in everything


def test_sqlite_runs_in_wal_mode_with_foreign_keys(tmp_path: Path) -> None:
    database = Database(url(tmp_path / "chats.db"))
    with database.reading() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    database.close()
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1, "busy_timeout": 15_000}


def test_a_new_folder_and_a_new_file_are_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "var" / "chats.db"
    database = Database(url(path))
    with database.reading() as session:
        session.execute(text("SELECT * FROM turns")).all()
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    database.close()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert modes == dict.fromkeys(("chats.db", "chats.db-wal", "chats.db-shm"), 0o600)


def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    path.touch()
    path.chmod(0o640)
    Database(url(path)).close()
    assert path.stat().st_mode & 0o777 == 0o640


CONVERSATIONS_MADE_ANEW = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9998", "0003", None, None

def upgrade():
    with op.batch_alter_table("conversations", recreate="always") as table:
        table.add_column(sa.Column("starred", sa.Boolean(), nullable=False, server_default=sa.false()))
"""
LOSES_THE_CONVERSATIONS = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "9998", "0003", None, None

def upgrade():
    op.execute("DELETE FROM conversations")
"""


CONVERSATION = "INSERT INTO conversations (id, owner, title, system_prompt, created_at, updated_at)"


def conversation_with_a_turn(path: Path) -> None:
    database = Database(url(path))
    with database.writing() as session:
        session.execute(text(f"{CONVERSATION} VALUES ('c', 'ann', 'hi', '', '2026-01-01', '2026-01-01')"))
        session.execute(
            text(
                "INSERT INTO turns (id, conversation_id, role, text, is_shown, created_at)"
                " VALUES (1, 'c', 'user', 'hi', 1, '2026-01-01')"
            )
        )
    database.close()


def add_migration(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(database_module.MIGRATIONS, folder)
    (folder / "versions" / "9998_of_this_test.py").write_text(source)
    monkeypatch.setattr(database_module, "MIGRATIONS", folder)


def test_a_migration_that_makes_a_table_anew_keeps_every_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation_with_a_turn(tmp_path / "chats.db")
    add_migration(tmp_path / "migrations", CONVERSATIONS_MADE_ANEW, monkeypatch)
    database = Database(url(tmp_path / "chats.db"))
    with database.reading() as session:
        assert session.execute(text("SELECT id, starred FROM conversations")).all() == [("c", 0)]
        assert session.execute(text("SELECT id, conversation_id FROM turns")).all() == [(1, "c")]
    with database.writing() as session:
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
        session.execute(text("DELETE FROM conversations"))
        assert session.execute(text("SELECT count(*) FROM turns")).scalar() == 0
    database.close()


def test_a_migration_that_leaves_loose_ends_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chats.db"
    conversation_with_a_turn(path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        add_migration(tmp_path / "migrations", LOSES_THE_CONVERSATIONS, patch)
        with pytest.raises(DatabaseRefused, match=r"table turns .* Nothing was changed"):
            Database(url(path))
    assert path.read_bytes() == before
    Database(url(path)).close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    Database(url(path)).close()
    before = path.read_bytes()
    Database(url(path)).close()
    assert path.read_bytes() == before


def test_many_pages_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            Database(url(tmp_path / "chats.db")).close()
        except BaseException as error:  # noqa: BLE001 - reported by the test
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = Database(url(tmp_path / "chats.db"))
    insert = text("INSERT INTO pictures VALUES ('a', 1, 1, '2026-01-01 00:00:00', NULL)")
    with pytest.raises(RuntimeError), database.writing() as session:
        session.execute(insert)
        raise RuntimeError
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM pictures")).scalar() == 0
    database.close()
