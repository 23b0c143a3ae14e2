"""The exchange format, LLaVA's training JSON, read: from a file and a folder of pictures to examples.

What is read may come from anybody. Every value is checked with an error that names file, record and field; a
picture is named relative to its folder and cannot lead out of it, by `..`, by an absolute path or by a link.

`records_of` gives the examples themselves, for a trainer or an import. `faults` looks through a whole file before
anything is done with it, so that a person gets all that is wrong at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from conversations.errors import InvalidImport, InvalidText, LogError
from conversations.examples import Example
from conversations.formats.contents import short
from conversations.formats.format import PictureOf, RowError
from conversations.formats.llava import example_of
from conversations.json_records import records
from conversations.log_text import checked_text
from conversations.messages import ImageRef

MAX_FAULTS = 20

_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """The pictures that a file names."""

    folder: Path

    def path(self, name: str) -> Path:
        """The file of a picture. Raises RowError for a name that leads elsewhere, or to nothing."""
        path = self.place(name)
        if not path.is_file():
            raise RowError("image", f"names {short(name)}, and there is no such file in {self.folder}")
        return path

    def place(self, name: str) -> Path:
        """Where the file of a picture should be, whether or not it is there. Raises RowError for a name that leads
        elsewhere."""
        parts = PurePosixPath(name).parts
        if not parts or "\0" in name or "\\" in name or name.startswith("/") or _DRIVE.match(name):
            raise RowError(
                "image", f"cannot be {short(name)}; give a name relative to the folder of pictures"
            )
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise RowError("image", f"cannot be {short(name)}, which no file can be called") from error
        if ".." in parts:
            raise RowError("image", f"cannot be {short(name)}, which leads out of the folder of pictures")
        path = self.folder / name
        try:
            path.is_file()
            inside = path.resolve().is_relative_to(self.folder.resolve())
        except (OSError, RuntimeError) as error:  # a name that is too long, a loop of links
            raise RowError("image", f"cannot be opened: {short(name)} ({error})") from error
        if not inside:
            raise RowError(
                "image", f"cannot be {short(name)}, a link that leads out of the folder of pictures"
            )
        return path

    def ref(self, name: str) -> ImageRef:
        """The picture by a digest of its name alone: nothing is read."""
        self.path(name)
        return ImageRef(hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest())


def records_of(path: Path, picture: PictureOf) -> Iterator[tuple[int, Example]]:
    """Number, from 1, and example of each record. `picture` gets the names in `image`. Raises InvalidImport."""
    for number, row in records(path):
        try:
            example = example_of(row, picture)
            _check_kept(example)
        except (RowError, InvalidText) as error:
            raise InvalidImport(f"{path}, record {number}, {error}.") from error
        yield number, example


def faults(path: Path, pictures: PictureFolder) -> tuple[int, list[str]]:
    """How many records there are, and what is wrong with the first MAX_FAULTS bad ones."""
    found: list[str] = []
    count = 0
    try:
        for number, row in records(path):
            count = number
            try:
                _check_kept(example_of(row, pictures.ref))
            except (RowError, InvalidText) as error:
                found.append(f"{path}, record {number}, {error}.")
            if len(found) == MAX_FAULTS:
                break
    except LogError as error:
        found.append(str(error))
    return count, found


def _check_kept(example: Example) -> None:
    """What the log could not keep is refused before anything of the file is kept."""
    checked_text(example.system, "the system text")
    for number, message in enumerate(example.messages):
        if message.role == "user" and not message.text.strip() and not message.images:
            raise RowError(f"conversations[{number}].value", "is an empty question without a picture")
        for part in message.content:
            if isinstance(part, str):
                try:
                    checked_text(part, "it")
                except InvalidText as error:
                    raise RowError(f"conversations[{number}].value", str(error).removesuffix(".")) from error
