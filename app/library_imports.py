"""Training JSON from a browser into the library: a file, or a zip of files and their pictures.

As with the command line, the whole is looked through first and nothing is kept of what has a fault; every record gets a
tag that names the file by its bytes, so that importing it twice is noticed.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from app.library_job import Job, Report
from app.library_zip import unpack
from conversations.conversation_json import FORMAT
from conversations.errors import InvalidImport
from conversations.formats.contents import IMAGE_FOLDER
from conversations.importing import ImportTally, import_file
from conversations.store import ConversationStore
from conversations.training_json import PictureFolder, faults

MAX_BYTES = 1_000_000_000
MAX_UNPACKED_BYTES = 4_000_000_000
FAULTS_SHOWN = 5
SECONDS_KEPT = 86_400
"""What a program that was killed left behind goes after a day: another page may be at work in the same folder."""

_NOT_RECORDS = {"manifest.json", "dataset_info.json"}


@dataclass(frozen=True, slots=True)
class _Source:
    """A file of records and the folder of its pictures."""

    file: Path
    pictures: PictureFolder
    num_records: int


class LibraryImports:
    """Takes files that were sent in; the work is the library's one job."""

    def __init__(self, store: ConversationStore, folder: Path, job: Job) -> None:
        self._store = store
        self._folder = folder
        self._job = job

    def new_folder(self) -> Path:
        """For what is being sent in. Whoever asks for it hands it to `start` or removes it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in self._folder.iterdir():
            if time.time() - old.stat().st_mtime > SECONDS_KEPT:
                shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=self._folder))

    def start(self, owner: str, folder: Path, file: Path, *, again: bool) -> None:
        """Import `file`, which lies in `folder`; the folder is removed in the end. Raises JobRunning."""

        def work(report: Report) -> str:
            try:
                return self._imported(owner, folder, file, again, report)
            except InvalidImport as error:
                words = str(error).replace(str(file), "The file")  # whose own name is not known here
                raise InvalidImport(words.replace(f"{folder}/", "")) from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)

        stopped = "Stopped; what was imported until then stays, under its tag."
        self._job.start("import", "The import", work, when_stopped=stopped)

    def _imported(self, owner: str, folder: Path, file: Path, again: bool, report: Report) -> str:
        with file.open("rb") as opened:
            tag = f"import-{hashlib.file_digest(opened, 'sha256').hexdigest()[:12]}"
        if (before := self._store.history.tags(owner).get(tag, 0)) and not again:
            raise InvalidImport(
                f"This very file was imported before: {before} conversations have its tag {tag}. "
                "Tick the box to import it once more."
            )
        report(None, "Looking through the file")
        _refuse_a_chat(file)
        sources = _sources(_unpacked(folder, file))
        total = sum(source.num_records for source in sources)
        done = ImportTally()
        for source in sources:
            begun = done.num_conversations

            def on_progress(now: ImportTally, begun: int = begun) -> None:
                number = begun + now.num_conversations
                report(number / max(1, total), f"{number:,} of {total:,} records")

            tally = import_file(
                self._store, owner, source.file, source.pictures, tag=tag, on_progress=on_progress
            )
            done.num_conversations += tally.num_conversations
            done.num_answers += tally.num_answers
            done.pictures |= tally.pictures
        return (
            f"{done.num_conversations:,} records with {done.num_answers:,} answers and {len(done.pictures):,} pictures "
            f"were imported; they have the tag {tag}."
        )


def _refuse_a_chat(file: Path) -> None:
    """The page gives two kinds of JSON, and what came of a chat's menu is asked for in another place."""
    with file.open("rb") as opened:
        beginning = opened.read(200)
    if f'"{FORMAT}"'.encode() in beginning:
        raise InvalidImport(
            "This is one chat, as its menu gives it, and no data set: import it in the chat view, above the list of "
            "chats. Nothing was imported."
        )


def _unpacked(folder: Path, file: Path) -> Path:
    """The folder of the records; of a single file, the one in which it lies alone."""
    if not zipfile.is_zipfile(file):
        return file.parent
    inside = folder / "inside"
    inside.mkdir()
    unpack(file, inside, MAX_UNPACKED_BYTES)
    return inside


def _sources(folder: Path) -> list[_Source]:
    """Every file of records. Raises InvalidImport for a fault in any of them."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".json", ".jsonl")
        and path.name not in _NOT_RECORDS
        and not path.name.startswith(".")
    ]
    if not files:
        raise InvalidImport(
            "There is no .json file in it; give LLaVA training JSON, or a zip with such a file."
        )
    sources, wrong = [], []
    for file in files:
        beside = file.parent / IMAGE_FOLDER
        pictures = PictureFolder(beside if beside.is_dir() else file.parent)
        num_records, found = faults(file, pictures)
        sources.append(_Source(file, pictures, num_records))
        wrong += found
    if wrong:
        more = f" And {len(wrong) - FAULTS_SHOWN} more." if len(wrong) > FAULTS_SHOWN else ""
        raise InvalidImport(" ".join(wrong[:FAULTS_SHOWN]) + more + " Nothing was imported.")
    return sources
