"""Writes the rows of an export, side by side, as they come; a file is begun with its first row.

The same rows give the same bytes. Of Parquet only as many rows are held as make a row group.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from conversations.examples import Item
from conversations.formats.format import Columns, Format, Pictures, Row
from conversations.selection import SIDES, Side

if TYPE_CHECKING:
    import pyarrow

MAX_GROUP_ROWS = 500
MAX_GROUP_BYTES = 32_000_000
"""Of pictures; what a reader has to take into memory at once."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    name: str
    num_rows: int
    num_bytes: int
    sha256: str


class RowFile(Protocol):
    def add(self, row: Row) -> None: ...

    def close(self) -> None: ...


class RowFiles:
    """The open files of one export in a folder that is there and is empty."""

    def __init__(self, folder: Path, format: Format, pictures: Pictures) -> None:
        self._folder = folder
        self._format = format
        self._pictures = pictures
        self._open: dict[str, RowFile] = {}
        self._num_rows: Counter[str] = Counter()

    def add(self, side: Side, item: Item) -> None:
        """Write an item to each of the format's files. Raises PictureMissing before anything is written."""
        rows = [(kind, kind.row(item, self._pictures)) for kind in self._format.files]
        for kind, row in rows:
            name = f"{side}{kind.ending}"
            if name not in self._open:
                self._open[name] = _open_file(self._folder / name, kind.container, kind.columns)
            self._open[name].add(row)
            self._num_rows[name] += 1

    def close(self) -> tuple[WrittenFile, ...]:
        """Finish the files, write those beside them, and say what was written, in order of their names."""
        for file in self._open.values():
            file.close()
        sides = [side for side in SIDES if any(name.startswith(f"{side}.") for name in self._open)]
        for name, content in self._format.beside(sides).items():
            text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
            (self._folder / name).write_text(text, encoding="utf-8")
        names = sorted((*self._open, *self._format.beside(sides)))
        return tuple(self._written(name) for name in names)

    def abandon(self) -> None:
        """Close what is open; the folder is about to be removed."""
        for file in self._open.values():
            file.close()

    def _written(self, name: str) -> WrittenFile:
        path = self._folder / name
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return WrittenFile(name, self._num_rows[name], path.stat().st_size, sha256)


def _open_file(path: Path, container: str, columns: Columns) -> RowFile:
    match container:
        case "array":
            return _JsonFile(path.open("xb"), b"[\n", b",\n", b"\n]\n")
        case "lines":
            return _JsonFile(path.open("xb"), b"", b"\n", b"\n")
        case _:
            return _Table(path, columns)


class _JsonFile:
    def __init__(self, file: BinaryIO, before: bytes, between: bytes, after: bytes) -> None:
        self._file = file
        self._next, self._between, self._after = before, between, after

    def add(self, row: Row) -> None:
        self._file.write(self._next + json.dumps(row, ensure_ascii=False).encode())
        self._next = self._between

    def close(self) -> None:
        if not self._file.closed:
            self._file.write(self._after)
            self._file.close()


class _Table:
    """pyarrow is imported with the first table: most exports need none, and it takes half a second."""

    def __init__(self, path: Path, columns: Columns) -> None:
        import pyarrow.parquet

        self._schema = _schema(columns)
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema)
        self._rows: list[Row] = []
        self._num_bytes = 0

    def add(self, row: Row) -> None:
        self._rows.append(row)
        self._num_bytes += sum(len(picture["bytes"]) for picture in row["images"])
        if len(self._rows) >= MAX_GROUP_ROWS or self._num_bytes >= MAX_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        if self._writer.is_open:
            self._flush()
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow

        if self._rows:
            self._writer.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._num_bytes = [], 0


_TEXT = {"dtype": "string", "_type": "Value"}
_FEATURES: dict[str, Any] = {
    "text": _TEXT,
    "flag": {"dtype": "bool", "_type": "Value"},
    "messages": [{"role": _TEXT, "content": [{"type": _TEXT, "text": _TEXT}]}],
    "pictures": [{"_type": "Image"}],
}
"""As `datasets` writes features into a schema's metadata (arrow_writer.py), lists in the spelling that its older
versions read too."""


def _schema(columns: Columns) -> pyarrow.Schema:
    import pyarrow as pa

    text = pa.string()
    block = pa.struct([("type", text), ("text", text)])
    types = {
        "text": text,
        "flag": pa.bool_(),
        "messages": pa.list_(pa.struct([("role", text), ("content", pa.list_(block))])),
        "pictures": pa.list_(pa.struct([("bytes", pa.binary()), ("path", text)])),
    }
    features = {name: _FEATURES[column] for name, column in columns.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([(name, types[column]) for name, column in columns.items()], metadata=metadata)
