"""Backups: database and pictures fit each other though others write, and come back as they were."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from conversations import backup
from conversations.backup import restore
from conversations.errors import BackupRefused, UnwritableFolder
from conversations.filters import Filters
from conversations.store import ConversationStore
from tests.conversations import small_log
from tests.conversations.small_log import answered, asked, png, texts


@pytest.fixture
def empty_url(backend: str, tmp_path: Path) -> str:
    """A database that a backup may be put into."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path}/new/chats.db"
    server = small_log.SERVER
    assert server is not None
    name = small_log.name_of(tmp_path / "new")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def test_what_is_put_back_is_what_was_there(store: ConversationStore, tmp_path: Path, empty_url: str) -> None:
    ref = store.images.add(png())
    question = store.add_question("ann", store.create("ann").id, "What is it?", [ref])
    answer = answered(store, question)
    store.feedback.correct("ann", answer.id, "A blue thing.")
    summary = store.backup.make(tmp_path / "backups" / "monday")
    assert (summary.num_conversations, summary.num_turns, summary.num_pictures) == (1, 2, 1)
    store.delete("ann", question.conversation_id)
    assert restore(tmp_path / "backups" / "monday", empty_url, tmp_path / "new" / "pictures") == summary
    again = ConversationStore.open(empty_url, tmp_path / "new" / "pictures")
    assert texts(again, question.conversation_id) == ["What is it?", "A red thing."]
    assert again.images.path(ref.sha256).read_bytes().startswith(b"\x89PNG")
    assert len(again.recent("ann", "blue")) == 1 and again.curation.count(Filters(corrected=True)).number == 1
    asked(again, "It goes on.")
    again.close()


def test_a_backup_made_while_others_write_is_consistent(
    store: ConversationStore, tmp_path: Path, empty_url: str
) -> None:
    stop = threading.Event()
    made: list[str] = []

    def talk() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            picture = store.images.add(png((number % 256, number // 256, 0)))  # type: ignore[arg-type]
            question = store.add_question("ann", store.create("ann").id, f"q{number}", [picture])
            answered(store, question)
            made.append(question.conversation_id)
            if number % 2:
                store.delete("ann", made.pop(0))

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        while len(made) < 5 and thread.is_alive():
            stop.wait(0.01)
        summary = store.backup.make(tmp_path / "backup")
    finally:
        stop.set()
        thread.join()
    assert summary.missing_pictures == () and summary.num_pictures > 0
    restore(tmp_path / "backup", empty_url, tmp_path / "new" / "pictures")
    again = ConversationStore.open(empty_url, tmp_path / "new" / "pictures")
    listed = again.recent("ann", limit=1000)
    assert len(listed) > 3
    for conversation in (again.load("ann", summary.id) for summary in listed):
        for ref in conversation.shown[0].images:
            assert again.images.path(ref.sha256).is_file()
    stored = [path for path in (tmp_path / "backup" / "pictures").rglob("*") if path.is_file()]
    assert len(stored) == summary.num_pictures
    again.close()


def test_pictures_of_what_is_deleted_meanwhile_do_not_stay(
    store: ConversationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (store.images.add(png(colour)) for colour in ("red", "blue"))
    gone = store.add_question("ann", store.create("ann").id, "Mine?", [first])
    take = backup._Copies.take

    def take_and_go_on(self: backup._Copies, sha256s: list[str]) -> None:
        take(self, sha256s)
        if sha256s == [first.sha256]:  # copied without the lock: others write on
            store.delete("ann", gone.conversation_id)
            store.add_question("ann", store.create("ann").id, "And mine?", [second])

    monkeypatch.setattr(backup._Copies, "take", take_and_go_on)
    summary = store.backup.make(tmp_path / "backup")
    stored = [path.stem for path in (tmp_path / "backup" / "pictures").rglob("*") if path.is_file()]
    assert stored == [second.sha256]
    assert (summary.num_conversations, summary.num_pictures, summary.missing_pictures) == (1, 1, ())


def test_pictures_whose_files_are_gone_are_named(store: ConversationStore, tmp_path: Path) -> None:
    ref = store.images.add(png())
    store.add_question("ann", store.create("ann").id, "What is it?", [ref])
    store.images.path(ref.sha256).unlink()
    assert store.backup.make(tmp_path / "backup").missing_pictures == (ref.sha256,)


def test_nothing_is_written_over(store: ConversationStore, tmp_path: Path) -> None:
    asked(store)
    (tmp_path / "taken").mkdir()
    with pytest.raises(BackupRefused, match=r"something in .*taken already"):
        store.backup.make(tmp_path / "taken")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableFolder, match=r"file"):
        store.backup.make(tmp_path / "file" / "backup")
    store.backup.make(tmp_path / "backup")
    for url, pictures in (
        (small_log.database_url(tmp_path), tmp_path / "other"),
        (f"sqlite:///{tmp_path}/new.db", tmp_path / "pictures"),
    ):
        with pytest.raises(BackupRefused):
            restore(tmp_path / "backup", url, pictures)
    assert store.recent("ann")[0].title == "What is it?"


@pytest.mark.parametrize("content", [None, "no JSON", "{}", "[]", '{"missing_pictures": 5}'])
def test_what_is_no_backup_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "backup.json").write_text(content)
    with pytest.raises(BackupRefused, match=r"is no backup: its backup\.json cannot be read"):
        restore(tmp_path, f"sqlite:///{tmp_path}/new.db", tmp_path / "pictures")
    assert not (tmp_path / "new.db").exists() and not (tmp_path / "pictures").exists()
