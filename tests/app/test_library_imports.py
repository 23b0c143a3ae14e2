"""Data sets from a browser into the library: what an export wrote comes back, and what has a fault leaves nothing."""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from app.library_exports import LibraryExports
from app.library_imports import LibraryImports
from app.library_job import Job, JobState
from app.library_request import LibraryRequest
from app.library_zip import zip_pieces
from conversations.filters import Filters
from conversations.store import ConversationStore
from tests.app.library_log import ANN, ROOT_USER, png, write


def ended(job: Job) -> JobState:
    end = time.monotonic() + 180
    while job.state.phase == "running":
        assert time.monotonic() < end
        time.sleep(0.02)
    return job.state


@pytest.fixture
def imports(store: ConversationStore, tmp_path: Path) -> LibraryImports:
    return LibraryImports(store, tmp_path / "imports", Job())


def bring_in(imports: LibraryImports, source: Path, *, again: bool = False) -> JobState:
    folder = imports.new_folder()
    shutil.copy(source, folder / "records.json")
    imports.start(ROOT_USER, folder, folder / "records.json", again=again)
    state = ended(imports._job)
    assert not folder.exists()
    return state


def test_the_zip_of_an_export_comes_back_as_the_same_examples(
    store: ConversationStore, imports: LibraryImports, tmp_path: Path
) -> None:
    log = write(store)
    store.curation.correct(ROOT_USER, log.wrong, "Red.")
    exports = LibraryExports(store, tmp_path / "exports")
    exports.start(LibraryRequest({"format": "llava", "selection": {"validation": 0.5}}).order(), "user:root")
    assert ended(exports.job).phase == "done", exports.job.state
    ((name, _),) = exports.listed()
    packed = tmp_path / "export.zip"
    packed.write_bytes(b"".join(zip_pieces(exports.folder(name))))

    state = bring_in(imports, packed)
    assert state.phase == "done" and state.words.startswith("2 records with 2 answers and 1 pictures"), state
    tag = next(iter(store.history.tags(ROOT_USER)))
    back = store.curation.page(Filters(tag=tag))
    assert {(item.question, item.answer) for item in back} == {
        ("What <b>colour</b> is it?", "Red."),
        ("Who are you?", "A model."),
    }
    (picture,) = next(item.pictures for item in back if item.pictures)
    assert picture == store.curation.item(log.wrong).pictures[0]

    twice = bring_in(imports, packed)
    assert twice.phase == "failed" and f"2 conversations have its tag {tag}" in twice.words
    assert bring_in(imports, packed, again=True).phase == "done"
    assert store.history.tags(ROOT_USER)[tag] == 4


GOOD = {
    "id": "1",
    "image": "a.png",
    "conversations": [{"from": "human", "value": "<image>\nHm?"}, {"from": "gpt", "value": "Red."}],
}


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("../a.png", "record 2, image"),
        ("/etc/passwd", "record 2, image"),
        ("b.png", "no such file"),
        (7, "record 2, image"),
    ],
)
def test_one_fault_and_nothing_is_kept(
    store: ConversationStore, imports: LibraryImports, tmp_path: Path, image: object, words: str
) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("data/train.json", json.dumps([GOOD, GOOD | {"image": image}]))
        made.writestr("data/images/a.png", png("red"))
    state = bring_in(imports, path)
    assert state.phase == "failed" and words in state.words and "Nothing was imported" in state.words
    assert str(tmp_path) not in state.words.split("no such file")[0]
    assert store.recent(ROOT_USER) == []


def test_a_single_file_without_pictures_and_one_that_is_no_json(
    store: ConversationStore, imports: LibraryImports, tmp_path: Path
) -> None:
    text_only = {"conversations": [{"from": "human", "value": "Hm?"}, {"from": "gpt", "value": "Yes."}]}
    (tmp_path / "a.json").write_text(json.dumps([text_only]))
    assert bring_in(imports, tmp_path / "a.json").phase == "done" and len(store.recent(ROOT_USER)) == 1
    (tmp_path / "b.json").write_bytes(b"\x89PNG not at all")
    state = bring_in(imports, tmp_path / "b.json")
    assert (
        state.phase == "failed" and state.words.startswith("The file") and "records.json" not in state.words
    )


def test_a_fault_in_a_file_alone_names_no_file_that_the_person_does_not_know(
    imports: LibraryImports, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps([GOOD | {"conversations": None, "image": None}]))
    state = bring_in(imports, mine)
    assert state.words.startswith("The file, record 1, conversations") and "records.json" not in state.words


def test_a_chat_from_its_menu_is_told_where_it_belongs(
    store: ConversationStore, imports: LibraryImports, tmp_path: Path
) -> None:
    log = write(store)
    chat = tmp_path / "chat.json"
    chat.write_bytes(store.exchange.json(ANN, store.curation.item(log.wrong).conversation_id))
    state = bring_in(imports, chat)
    assert state.phase == "failed" and "one chat" in state.words and "above the list of chats" in state.words
