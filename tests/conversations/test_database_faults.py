"""Databases that cannot be opened or written: each is named, with the remedy, and left as it was."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from conversations import database as database_module
from conversations.database import Database
from conversations.errors import (
    CorruptDatabase,
    DatabaseBusy,
    DatabaseRefused,
    DiskFull,
    ForeignDatabase,
    NewerSchema,
    UnsupportedDatabase,
    UnwritableFolder,
)
from tests.conversations.test_database import CONVERSATION, url


@pytest.mark.parametrize(
    "content", [b"this is no database at all, but long enough" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_corrupt_file_is_named_and_left_as_it_was(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "chats.db"
    path.write_bytes(content)
    with pytest.raises(CorruptDatabase, match=r"chats\.db is not a database, or it is damaged.*Move it away"):
        Database(url(path))
    assert path.read_bytes() == content


def test_a_file_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    Database(url(path)).close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptDatabase, match="damaged"):
        opened = Database(url(path))
        with opened.reading() as session:
            session.execute(text("SELECT * FROM turns")).all()


def test_a_newer_schema_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    Database(url(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NewerSchema, match=r"at 9999.*knows up to 0003.*update the program"):
        Database(url(path))
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ForeignDatabase, match="invoices"):
        Database(url(path))
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableFolder, match=r"file/var.* cannot be made .*--database-url"):
        Database(url(tmp_path / "file" / "var" / "chats.db"))


def test_a_folder_in_the_files_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnwritableFolder, match="cannot be opened for writing"):
        Database(url(tmp_path))


def test_a_read_only_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    Database(url(path)).close()
    with pytest.raises(UnwritableFolder, match="cannot be opened for writing"):
        Database(f"sqlite:///file:{path}?mode=ro&uri=true")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path
    if os.geteuid() == 0:
        folder = Path("/proc/self")  # root may write wherever a mode forbids it, but nobody makes files here
    else:
        folder.chmod(0o500)
    with pytest.raises(UnwritableFolder, match="cannot be opened for writing"):
        Database(url(folder / "chats.db"))
    tmp_path.chmod(0o700)


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    database = Database(url(tmp_path / "chats.db"))
    insert = text(f"{CONVERSATION} VALUES (:id, 'ann', '', :prompt, '2026-01-01', '2026-01-01')")
    with database.writing() as session:
        session.execute(insert, {"id": "kept", "prompt": ""})
    with pytest.raises(DiskFull, match="no room left"), database.writing() as session:
        session.execute(text("PRAGMA max_page_count = 40"))
        session.execute(insert, {"id": "lost", "prompt": "x" * 1_000_000})
    with database.reading() as session:
        assert session.execute(text("SELECT id FROM conversations")).scalars().all() == ["kept"]
    database.close()


def test_a_database_held_by_another_process_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_SECONDS", 0)
    database = Database(url(tmp_path / "chats.db"))
    holder = sqlite3.connect(tmp_path / "chats.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="held the database"), database.writing():
        pass
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM turns")).scalar() == 0
    holder.close()
    database.close()


def test_wal_mode_that_another_process_keeps_from_us_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chats.db"
    Database(url(path)).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode = DELETE")
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM turns").fetchall()
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_SECONDS", 0)
    monkeypatch.setattr(database_module, "WAL_WAITS", (0.01, 0.01))
    with pytest.raises(DatabaseBusy, match="held the database"):
        Database(url(path))
    holder.close()


def test_a_disk_that_fails_at_the_wal_mode_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "chats.db"
    Database(url(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    migrate = database_module._migrate

    def migrate_and_fail(*args: Any, **options: Any) -> None:
        migrate(*args, **options)
        Path(f"{path}-wal").mkdir()  # in the place of the file that SQLite is about to make

    monkeypatch.setattr(database_module, "_migrate", migrate_and_fail)
    with pytest.raises(DatabaseRefused):
        Database(url(path))


@pytest.mark.parametrize(
    ("database_url", "says"),
    [
        ("var/chats.db", "cannot be read; write it like sqlite:///"),
        ("", "cannot be read"),
        ("mysql://root@host/chats", "mysql databases cannot be used"),
        ("sqlite://", "in memory would forget"),
        ("sqlite:///:memory:", "in memory would forget"),
        ("postgresql+nodriver://user:secret@host/chats", "driver"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_remedy(database_url: str, says: str) -> None:
    with pytest.raises(UnsupportedDatabase, match=says) as refused:
        Database(database_url)
    assert "secret" not in str(refused.value)


def test_every_refusal_is_one_kind_of_error() -> None:
    for kind in (CorruptDatabase, NewerSchema, ForeignDatabase, UnwritableFolder, UnsupportedDatabase):
        assert issubclass(kind, DatabaseRefused)
