"""What a base's weights are, told by a little of each file: a run that goes on must find those that it began with.

Neither names nor sizes tell two bases of one shape apart, and times change with every copy. So of each tensor of a
safetensors file a few bytes are read, and of other files blocks that are spread over them: a second for a model of
many gigabytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from model.checkpoint import Hub

_KINDS = (".safetensors", ".bin", ".pt", ".pth")
_BYTES_A_TENSOR = 64
_NUM_BLOCKS, _BLOCK = 256, 4096


def fingerprint(model: str) -> str:
    """Of the weights' files in the base's folder, "" where it holds none. Raises CheckpointError, OSError."""
    folder = Hub().fetch(model)
    files = sorted(path for path in folder.iterdir() if path.suffix in _KINDS and path.is_file())
    seen = hashlib.sha256()
    for file in files:
        seen.update(f"{file.name} {file.stat().st_size}".encode(errors="surrogatepass"))
        for piece in _pieces(file):
            seen.update(piece)
    return seen.hexdigest() if files else ""


def _pieces(file: Path) -> Iterator[bytes]:
    if file.suffix == _KINDS[0]:
        yield from _of_tensors(file)
    elif zipfile.is_zipfile(file):  # as torch.save writes it: a checksum of each tensor stands in its table
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
            yield repr([(each.filename, each.CRC) for each in archive.infolist()]).encode(
                errors="surrogatepass"
            )
    size = file.stat().st_size
    with file.open("rb") as opened:
        for number in range(_NUM_BLOCKS):
            opened.seek(max(0, size - _BLOCK) * number // (_NUM_BLOCKS - 1))
            yield opened.read(_BLOCK)


def _of_tensors(file: Path) -> Iterator[bytes]:
    """The middle of each. A file that only bears the name, and which nobody reads, has none."""
    size = file.stat().st_size
    with (
        file.open("rb") as opened,
        suppress(struct.error, ValueError, AttributeError, LookupError, TypeError),
    ):
        (length,) = struct.unpack("<Q", opened.read(8))
        table = json.loads(opened.read(length)) if length < size else {}
        for name, entry in table.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                opened.seek(8 + length + max(begin, (begin + end - _BYTES_A_TENSOR) // 2))
                yield opened.read(max(0, min(_BYTES_A_TENSOR, end - begin)))
