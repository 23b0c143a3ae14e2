"""A folder as a zip while it is being sent: nothing is put on the disk for it, and no more than a few files' pieces are
in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

PIECE = 1 << 20
_PACKED = {".jpg", ".jpeg", ".png", ".parquet"}
"""Compressed already: packing them again takes time and saves nothing."""


class _Outlet(io.RawIOBase):
    """Takes what the zip writes until somebody fetches it."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._waiting += piece
        return len(piece)

    def fetched(self) -> bytes:
        piece = bytes(self._waiting)
        self._waiting.clear()
        return piece


def zip_pieces(folder: Path) -> Iterator[bytes]:
    """The zip of everything below `folder`, under the folder's own name. Links are left out."""
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", allowZip64=True) as packed:  # type: ignore[arg-type]
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            about = zipfile.ZipInfo.from_file(path, (Path(folder.name) / path.relative_to(folder)).as_posix())
            about.compress_type = zipfile.ZIP_STORED if path.suffix in _PACKED else zipfile.ZIP_DEFLATED
            with path.open("rb") as file, packed.open(about, "w", force_zip64=True) as place:
                while piece := file.read(PIECE):
                    place.write(piece)
                    yield outlet.fetched()
    yield outlet.fetched()
