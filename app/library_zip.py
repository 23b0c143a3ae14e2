"""Zips, out and in: a folder as a zip while it is being sent, with nothing put on the disk for it, and a zip from
anybody unpacked with suspicion."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from conversations.errors import InvalidImport

PIECE = 1 << 20
LONGEST_NAME = 250
_PACKED = {".jpg", ".jpeg", ".png", ".parquet", ".safetensors"}
"""Compressed already, or numbers: packing them takes time and saves next to nothing."""


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


def zip_pieces(folder: Path, name: str = "") -> Iterator[bytes]:
    """The zip of everything below `folder`, under `name` or the folder's own. Links are left out."""
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", allowZip64=True) as packed:  # type: ignore[arg-type]
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            inside = Path(name or folder.name) / path.relative_to(folder)
            about = zipfile.ZipInfo.from_file(path, inside.as_posix())
            about.compress_type = zipfile.ZIP_STORED if path.suffix in _PACKED else zipfile.ZIP_DEFLATED
            with path.open("rb") as file, packed.open(about, "w", force_zip64=True) as place:
                while piece := file.read(PIECE):
                    place.write(piece)
                    yield outlet.fetched()
    yield outlet.fetched()


def unpack(path: Path, folder: Path, most_bytes: int) -> None:
    """Put the files of a zip from anybody into `folder`. Raises InvalidImport for a name that leads out of it, for what
    is no zip, and for one that holds more than `most_bytes`, whatever it says of itself."""
    left = most_bytes
    try:
        with zipfile.ZipFile(path) as packed:
            for about in packed.infolist():
                if about.is_dir():
                    continue
                target = folder / _safe(about.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(about) as file, target.open("xb") as place:
                    while piece := file.read(PIECE):
                        left -= len(piece)
                        if left < 0:
                            raise InvalidImport(
                                f"The zip holds more than {most_bytes / 1_000_000:,.0f} MB; import it in parts."
                            )
                        place.write(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidImport(f"The file is no zip that can be read ({error}).") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InvalidImport(f"The zip names {Path(str(error.filename)).name!r} twice.") from error


def _safe(name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name or "\\" in name or ":" in parts[0]:
        raise InvalidImport(
            f"The zip names {name[:80]!r}, which leads out of its folder; nothing was imported."
        )
    if any(len(part.encode(errors="surrogatepass")) > LONGEST_NAME for part in parts):
        raise InvalidImport(f"The zip names {name[:80]!r}…, which is too long a name for a file.")
    return Path(*parts)
