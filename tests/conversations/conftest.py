"""A store on a database of its own for every test of the log."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from conversations.database import Database
from conversations.store import ConversationStore
from tests.conversations.small_log import SERVER, open_store


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without rows, which the tests of this file begin with: copying is quicker."""
    path = tmp_path_factory.mktemp("migrated") / "chats.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def store(tmp_path: Path, migrated: Path) -> Iterator[ConversationStore]:
    if SERVER is None:
        (tmp_path / "var").mkdir()
        shutil.copyfile(migrated, tmp_path / "var" / "chats.db")
    store = open_store(tmp_path)
    yield store
    store.close()
