"""Opens the database, brings its tables up to date, and turns the driver's errors into sentences.

SQLite runs in WAL mode: readers never wait for the writer. A transaction that will write says so at its start
(BEGIN IMMEDIATE), because one that reads first and then writes can fail with "database is locked" without
ever waiting.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from conversations.errors import (
    CorruptDatabase,
    DatabaseBusy,
    DatabaseRefused,
    DiskFull,
    ForeignDatabase,
    LogError,
    NewerSchema,
    UnsupportedDatabase,
    UnwritableFolder,
)

CACHE_KIB = 32 * 1024
"""Of a connection. With SQLite's own 2 MB, a count over a million messages reads the same pages again and again."""
BUSY_TIMEOUT_SECONDS = 15
MIGRATIONS = Path(__file__).parent / "migrations"
WAL_WAITS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between the tries to set WAL mode."""

_MIGRATING = threading.Lock()  # Alembic keeps its context in module globals
_MIGRATION_LOCK_KEY = (
    0x4C6C614C  # any fixed number: PostgreSQL's advisory lock against two pages migrating at once
)


class Database:
    """An open, migrated database. `reading` and `writing` give a session in a transaction, from any
    thread."""

    def __init__(self, database_url: str) -> None:
        self.url = _checked_url(database_url)
        self.name = self.url.database if self._sqlite else self.url.render_as_string(hide_password=True)
        self._engine = self._create_engine()
        self._writer = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        # PostgreSQL otherwise looks anew at every statement, and an export would mix two states of the log.
        self._reader = (
            self._engine
            if self._sqlite
            else self._engine.execution_options(isolation_level="REPEATABLE READ")
        )
        # SQLite has one writer; threads that queue here in order do not have to poll the file's lock.
        self._write_queue = threading.Lock() if self._sqlite else nullcontext()
        try:
            if self._sqlite:
                self._check_writable()
            with self._migrating() as connection:
                _migrate(connection, str(self.name), sqlite=self._sqlite)
            if self._sqlite:
                self._set_wal_mode()
        except BaseException:
            self._engine.dispose()
            raise

    @property
    def _sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    def _create_engine(self) -> Engine:
        # SQLite's own URIs (file:…) name what is there already.
        if self._sqlite and not str(self.url.database).startswith("file:"):
            path = Path(str(self.url.database))
            _make_folder(path.parent)
            _make_file(path)
        try:
            engine = create_engine(self.url, pool_size=10, max_overflow=30, pool_pre_ping=not self._sqlite)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise UnsupportedDatabase(f"The driver for {self.name} is not installed: {error}.") from error
        if self._sqlite:
            event.listen(engine, "connect", _on_connect)
            event.listen(engine, "begin", _on_begin)
        return engine

    def _check_writable(self) -> None:
        """SQLite opens a file that may only be read without a word, and even begins a transaction on it."""
        with self._translated(), self._writer.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE writable_probe (x INTEGER)")
            connection.rollback()

    @contextmanager
    def _migrating(self) -> Iterator[Connection]:
        """A transaction in which tables may be made anew. SQLite makes one anew by dropping the old one, and
        with foreign keys on the rows of every other table that refer to it would go along; they are off
        here, which SQLite heeds only before a transaction begins. The connection never comes back."""
        with self._translated(), self._writer.connect() as connection:
            if self._sqlite:
                connection.detach()
                connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")
            with connection.begin():
                yield connection

    def _set_wal_mode(self) -> None:
        """For good, since the file remembers it: only once it is known to be ours, and outside a transaction.
        While another page does the same SQLite says "locked" at once, so it is tried again."""
        with self._translated(), self._engine.connect() as connection:
            driver = connection.connection.cursor()
            for wait_seconds in WAL_WAITS:
                try:
                    driver.execute("PRAGMA journal_mode = WAL")
                    return
                except sqlite3.OperationalError as error:
                    if "locked" not in str(error):
                        raise
                    time.sleep(wait_seconds)
            driver.execute("PRAGMA journal_mode = WAL")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading: one consistent view."""
        with self._translated(), Session(self._reader) as session, session.begin():
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose changes are committed at the end of the block, or not at all."""
        with self._translated(), self._write_queue, Session(self._writer) as session, session.begin():
            session.connection()  # begin now: what is read in the block must already be under the lock
            yield session

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:  # the second: from the driver itself, past SQLAlchemy
            translated = _translate(error, str(self.name))
            if translated is None:
                raise
            raise translated from error
        except PoolTimeoutError as error:
            raise DatabaseBusy(
                f"All connections to the database {self.name} were taken for too long; try again."
            ) from error


def _checked_url(database_url: str) -> URL:
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise UnsupportedDatabase(
            "The database URL cannot be read; write it like sqlite:///var/chats.db"
            " or postgresql+psycopg://user:password@host/name."
        ) from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise UnsupportedDatabase(
            f"{url.get_backend_name()} databases cannot be used; use sqlite or postgresql."
        )
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise UnsupportedDatabase("A database in memory would forget every conversation; name a file.")
    return url


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(
            mode=0o700, parents=True, exist_ok=True
        )  # what people write is for nobody else on the machine
    except OSError as error:
        raise UnwritableFolder(
            f"The folder {folder} for the database cannot be made ({error.strerror});"
            " make it writable or name another with --database-url."
        ) from error


def _make_file(path: Path) -> None:
    """An empty file, which SQLite takes for a new database, because SQLite itself would let everybody on the
    machine read it; its -wal and -shm files take its mode. What hinders us will hinder SQLite, which says
    so."""
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _on_connect(connection: Any, _record: Any) -> None:
    # The driver would begin late, and commit before it makes a table; _on_begin does it instead.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.create_function("casefold", 1, str.casefold, deterministic=True)  # its own lower() knows ASCII


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _migrate(connection: Connection, name: str, *, sqlite: bool) -> None:
    """Bring the tables up to date inside the open transaction: done whole or not at all."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    if not sqlite:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK_KEY})
    current = MigrationContext.configure(connection).get_current_heads()
    known = {step.revision for step in script.walk_revisions()}
    if unknown := [revision for revision in current if revision not in known]:
        raise NewerSchema(
            f"The database {name} was written by a newer version of this program (its tables are at"
            f" {unknown[0]}, this program knows up to {script.get_current_head()}); update the program"
            " or name another database with --database-url. Nothing was changed."
        )
    if not current and sqlite and (tables := inspect(connection).get_table_names()):
        raise ForeignDatabase(
            f"The database {name} belongs to another program (it has a table {tables[0]!r});"
            " name another file with --database-url. Nothing was changed."
        )
    if set(current) != set(script.get_heads()):
        config.attributes["connection"] = connection
        with _MIGRATING:
            command.upgrade(config, "head")
        if sqlite:
            _check_references(connection, name)


def _check_references(connection: Connection, name: str) -> None:
    """What SQLite did not look after while the tables were changed."""
    loose = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if loose is not None:
        raise CorruptDatabase(
            f"The database {name} cannot be brought up to date: its table {loose[0]} would refer to rows of"
            f" {loose[2]} that are not there. Nothing was changed; put a backup in its place, or name another"
            " with --database-url."
        )


def _translate(error: DBAPIError | sqlite3.Error, name: str) -> LogError | None:
    """The sentence for a driver's error, or None for one that is a fault of ours."""
    invalidated = isinstance(error, DBAPIError) and error.connection_invalidated
    reason = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
    message = reason.lower()
    if "not a database" in message or "malformed" in message:
        return CorruptDatabase(
            f"The file {name} is not a database, or it is damaged; nothing was changed. Move it away to start"
            " with an empty one, put a backup in its place, or name another with --database-url."
        )
    if "readonly" in message or "unable to open" in message or "permission denied" in message:
        return UnwritableFolder(
            f"The database {name} cannot be opened for writing; make the file and its folder writable"
            " or name another with --database-url."
        )
    if "is full" in message or "no space left" in message:
        return DiskFull(
            f"There is no room left on the disk of {name}; nothing of this step was stored. Make room."
        )
    if "disk i/o error" in message:
        return DatabaseRefused(
            f"The database {name} could not be read or written ({reason}); check its disk and that its folder is there."
        )
    if "is locked" in message:
        return DatabaseBusy(
            f"Another process held the database {name} for more than {BUSY_TIMEOUT_SECONDS} seconds;"
            " try again."
        )
    if "deadlock detected" in message:
        return DatabaseBusy(f"Two steps in the database {name} waited for each other; try again.")
    if invalidated or "connection" in message:
        return DatabaseRefused(
            f"The database {name} cannot be reached ({reason}); check that its server runs."
        )
    return None
