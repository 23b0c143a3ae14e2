"""What a model can be trained on: a selection from the library, data sets that are there already, or a file that is
named by its path. Every one of them becomes a DataSource of the config."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal

from app.library_exports import LibraryExports
from app.library_outlook import expected
from app.library_request import ExportOrder
from app.settings import ROOT
from conversations.errors import LogError, NotFound
from conversations.export import export
from conversations.formats import FORMATS
from conversations.formats.contents import IMAGE_FOLDER
from conversations.formats.format import Options, RowError
from conversations.json_records import records
from conversations.selection import Selection
from conversations.store import ConversationStore
from conversations.training_json import PictureFolder
from model.training.config import DataSource

TRAIN_FILE = "train.json"
SELECTION_FILE = f"data/{TRAIN_FILE}"
"""What a selection will be in the folder of its run, until it is written."""

MAX_LISTED = 200
MAX_COUNTED_BYTES = 64_000_000
"""A larger file is not read through while a person looks at the form; the check does that."""

MAX_LOOKED_AT = 100
"""Records that are looked at for one with a picture."""

_FORMAT = FORMATS["llava"]


class UnusableSource(LogError, ValueError):
    """Data that cannot be trained on; the sentence names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen. `kind` "library": the answers that `selection` means; "set": an export or a data set by the name
    under which it is listed; "file": a path on this machine. `share` is that of its records (DataSource.share)."""

    kind: Literal["library", "set", "file"]
    selection: Selection | None = None
    name: str = ""
    pictures: str = ""
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Listed:
    """One that is there. `value` is its name in a Choice."""

    value: str
    words: str


@dataclass(frozen=True, slots=True)
class Counted:
    """`words` in a sentence; `num_records` None where they were not counted."""

    words: str
    num_records: int | None


class TrainingSources:
    """Any number of threads may call it. `folder` is the page's own data: `datasets/` in it is looked through."""

    def __init__(self, store: ConversationStore, exports: LibraryExports, folder: Path) -> None:
        self._store = store
        self._exports = exports
        self._datasets = folder.absolute() / "datasets"

    @property
    def datasets(self) -> Path:
        return self._datasets

    def listed(self) -> list[Listed]:
        """Exports in the trainer's format and data sets, the newest first. Their rows are told where they are known."""
        found = [
            Listed(f"export:{name}", f"Export {name}, {sum(manifest.counts['rows'].values()):,} examples")
            for name, manifest in self._exports.listed()
            if manifest.format == _FORMAT.name
        ]
        if self._datasets.is_dir():
            folders = sorted(self._datasets.iterdir(), key=lambda each: each.name)
            found += [
                Listed(f"set:{each.name}", f"Data set {each.name}")
                for each in folders[:MAX_LISTED]
                if not each.name.startswith(".") and (each / TRAIN_FILE).is_file()
            ]
        return found

    def source(self, choice: Choice) -> DataSource:
        """As the config names it. Raises UnusableSource, NotFound."""
        if choice.kind == "library":
            return DataSource(SELECTION_FILE, share=choice.share)
        if choice.kind == "file":
            file = _typed_file(choice.name)
            pictures = _typed_folder(choice.pictures) or str(_picture_folder(file))
            return DataSource(str(file), pictures, choice.share)
        file = self._set_file(choice.name)
        return DataSource(str(file), str(_picture_folder(file)), choice.share)

    def counted(self, choice: Choice) -> Counted:
        """How many examples it would give. Raises UnusableSource, NotFound."""
        if choice.kind == "library":
            found = expected(self._store, _order(choice))
            rows, answers = found.tally.num_rows.total(), found.tally.num_answers
            about = "" if found.whole else f" in the first {found.tally.num_conversations:,} conversations"
            return Counted(
                f"{_number(answers, 'answer')} in {_number(rows, 'example')} with "
                f"{_number(found.tally.num_pictures, 'picture')}{about}",
                rows if found.whole else None,
            )
        file = Path(self.source(choice).file)
        now = file.stat()
        if now.st_size > MAX_COUNTED_BYTES:
            return Counted(f"{file.name} with {now.st_size / 1e6:,.0f} MB; the check counts it", None)
        number = _count(file, now.st_size, now.st_mtime_ns)
        return Counted(_number(number, "example"), number)

    def writer(
        self, actor: str | None, choices: Sequence[Choice]
    ) -> Callable[[Path], list[DataSource]] | None:
        """What fills a run's empty folder `data` before it starts, and says what is learned from then; None where all
        is there already. At most one of them is a selection. `actor` stands in the trail with it, None where the files
        are only looked through. Its call raises UnusableSource, NotFound,
        DiskFull, UnwritableFolder."""
        if all(choice.kind != "library" for choice in choices):
            return None

        def write(folder: Path) -> list[DataSource]:
            sources = []
            for choice in choices:
                if choice.kind == "library":
                    self._export(actor, choice, folder)
                    file = folder / TRAIN_FILE
                    sources.append(DataSource(str(file), str(_picture_folder(file)), choice.share))
                else:
                    sources.append(self.source(choice))
            return sources

        return write

    def _export(self, actor: str | None, choice: Choice, folder: Path) -> None:
        order = _order(choice)
        selection = self._store.reader.closed(order.selection)
        with closing(
            self._store.reader.conversations(selection.filters, selection.last_turn)
        ) as conversations:
            made = export(
                conversations, self._store.images, folder, order.format, selection, options=order.options
            )
        num_rows = sum(made.counts["rows"].values())
        if not num_rows:
            raise UnusableSource(
                "The selection holds no example; widen its filters, or correct some answers first."
            )
        about = {"format": made.format, "selection": selection.to_dict()}
        if actor is not None:
            self._store.curation.note_export(actor, num_rows, about)

    def _set_file(self, value: str) -> Path:
        kind, _, name = value.partition(":")
        if kind == "export":
            return self._exports.folder(name) / TRAIN_FILE
        if kind == "set" and value in {each.value for each in self.listed()}:
            return self._datasets / name / TRAIN_FILE
        raise NotFound(f"There is no data set {value[:60]!r} any more; choose another.")


def _order(choice: Choice) -> ExportOrder:
    return ExportOrder(_FORMAT, Options(), choice.selection or Selection())


def _typed_file(typed: str) -> Path:
    typed = typed.strip()
    if not typed:
        raise UnusableSource("Type the path of a file of LLaVA training JSON.")
    file = _path(typed)
    try:
        if file.is_dir():
            file = file / TRAIN_FILE
        if not file.is_file():
            raise UnusableSource(
                f"There is no file {_short(file)}; give the path of LLaVA training JSON on this machine."
            )
        with file.open("rb") as opened:
            begin = opened.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError as error:
        raise UnusableSource(
            f"{_short(file)} cannot be read ({error.strerror}); let this program's user read it."
        ) from error
    if begin[:1] not in (b"[", b"{"):
        raise UnusableSource(f"{_short(file)} is no JSON; give LLaVA training JSON, a list of records.")
    return file


def _typed_folder(typed: str) -> str:
    if not typed.strip():
        return ""
    folder = _path(typed.strip())
    try:
        if folder.is_dir():
            return str(folder)
    except OSError as error:
        raise UnusableSource(f"{_short(folder)} cannot be looked at ({error.strerror}).") from error
    raise UnusableSource(
        f"There is no folder {_short(folder)}; give the folder of the pictures, or leave it empty."
    )


def _path(typed: str) -> Path:
    if not typed.isprintable():
        raise UnusableSource("The path contains characters that cannot be shown; type it anew.")
    try:
        return ROOT / Path(typed).expanduser()
    except RuntimeError as error:
        raise UnusableSource(f"{_short(typed)} cannot be looked for: {error}.") from error


def _picture_folder(file: Path) -> Path:
    """Where the pictures lie that a file names: beside it, or in the folder `images` beside it, as in an export."""
    beside = file.parent / IMAGE_FOLDER
    if not beside.is_dir():
        return file.parent
    with suppress(LogError):
        for _, row in islice(records(file), MAX_LOOKED_AT):
            named = row.get("image") if isinstance(row, dict) else None
            first = named[0] if isinstance(named, list) and named else named
            if isinstance(first, str):
                return beside if _is_in(PictureFolder(beside), first) else file.parent
    return file.parent


def _is_in(folder: PictureFolder, name: str) -> bool:
    try:
        folder.path(name)
    except RowError:
        return False
    return True


@lru_cache(maxsize=32)
def _count(file: Path, _size: int, _changed_ns: int) -> int:
    """The records of a file as it is now. Raises InvalidImport."""
    return sum(1 for _ in records(file))


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"…{text[-119:]}"
