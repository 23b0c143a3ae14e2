"""A store on a database of its own for every test of the log, on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from conversations.database import Database
from conversations.store import ConversationStore
from tests.conversations import small_log
from tests.conversations.postgresql import WHY_NOT, postgresql_server
from tests.conversations.small_log import open_store


@pytest.fixture(scope="session")
def server() -> Iterator[str | None]:
    """The URL of a PostgreSQL server that runs while the tests do."""
    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database without rows, which the tests begin with: copying is quicker."""
    path = tmp_path_factory.mktemp("migrated") / "chats.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def migrated_server(server: str | None) -> str | None:
    """The server, with a migrated database that new ones are copied from."""
    if server is not None:
        small_log.make_template(server)
    return server


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the test's database lies. A test that asks for it, or for the store, runs on both."""
    if request.param == "sqlite":
        (tmp_path / "var").mkdir()
        shutil.copyfile(request.getfixturevalue("migrated"), tmp_path / "var" / "chats.db")
        yield "sqlite"
        return
    server = request.getfixturevalue("migrated_server")
    if server is None:
        pytest.skip(WHY_NOT)
    monkeypatch.setattr(small_log, "SERVER", server)
    yield "postgresql"
    small_log.drop_database(server, tmp_path)


@pytest.fixture
def store(backend: str, tmp_path: Path) -> Iterator[ConversationStore]:
    store = open_store(tmp_path)
    yield store
    store.close()
