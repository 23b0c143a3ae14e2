"""A pickle of tensors, opened by torch with `weights_only=True` alone; what wants more is refused by what it wants.

What it wants, its opcodes say; they are read, not run (pickletools). torch's own words are never passed on: they advise
to switch that guard off.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from ..checkpoint_errors import CheckpointFormatError, UnsupportedCheckpoint

_OF_TENSORS = re.compile(
    r"collections\.OrderedDict|_codecs\.encode|torch\.(_utils\._rebuild_\w+|_tensor\._rebuild_\w+|storage\.\w+|"
    r"nn\.parameter\.\w+|serialization\._get_layout|\w+Storage|Size|device|(b?float|u?int|complex|bool)\w*)"
)
"""What tensors' pickles name, and torch looks at by itself."""
_NEWEST_PROTOCOL = 3
"""Of those that torch opens with its guard on."""
_LARGEST_BYTES = 256 * 2**20
"""Of the table of a pickle's tensors; the tensors themselves lie beside it."""
_NUM_PICKLES = 5
"""torch before 1.6 wrote so many one after another, and the tensors' bytes after them."""

_UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError,
    zipfile.BadZipFile, MemoryError,
)  # fmt: skip


def open_pickle(path: Path) -> dict[str, Tensor]:
    """Its tensors by name, mapped where it is an archive. Raises CheckpointError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles by newer protocols, which are told below
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_archive(path))
    except _UNREADABLE as error:
        raise _refusal(path) from error
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise CheckpointFormatError(
            f"{path} holds no table of tensors by name, which weights are; copy or download that file again."
        )
    return dict(found)


def _refusal(path: Path) -> CheckpointFormatError | UnsupportedCheckpoint:
    wanted = next((name for name in names_in(path) if not _OF_TENSORS.fullmatch(name)), None)
    if wanted is not None:
        return UnsupportedCheckpoint(
            f"{path} is a pickle that wants to load {wanted}, which could run code; only pickles of tensors are "
            "opened. Choose a checkpoint in safetensors, or one whose file holds weights alone."
        )
    protocol = _protocol(path)
    if protocol > _NEWEST_PROTOCOL:
        return UnsupportedCheckpoint(
            f"{path} is a pickle of protocol {protocol}; only those up to {_NEWEST_PROTOCOL} are opened, as torch.save "
            "writes them by itself. Choose a checkpoint in safetensors, or save that file again."
        )
    kind = "archive" if _is_archive(path) else "pickle"
    return CheckpointFormatError(
        f"{path} is cut short or damaged (no whole {kind}; it has {path.stat().st_size:,} bytes); copy or download "
        "that file again."
    )


def names_in(path: Path) -> Iterator[str]:
    """What a pickle wants to import, as `module.name`, as far as it can be read; of any protocol."""
    try:
        for stream in _pickles(path):
            yield from _names(stream)
    except _UNREADABLE:
        return


def _protocol(path: Path) -> int:
    """0 where it is not said."""
    try:
        for stream in _pickles(path):
            opcode, argument, _ = next(pickletools.genops(stream))
            return int(argument or 0) if opcode.name == "PROTO" else 0
    except _UNREADABLE:
        pass
    return 0


def _pickles(path: Path) -> Iterator[IO[bytes]]:
    """Each pickle in a file, ready to be read."""
    if not _is_archive(path):
        with path.open("rb") as stream:
            for _ in range(_NUM_PICKLES):
                yield stream
        return
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".pkl") and entry.file_size <= _LARGEST_BYTES:
                with archive.open(entry) as packed:
                    yield packed


def _names(stream: IO[bytes]) -> Iterator[str]:
    """Of one pickle. Newer protocols put module and name on the stack, perhaps by way of the memo."""
    texts: list[str] = []  # those on the stack, as far as they matter: the last two
    memo: dict[int, str] = {}
    last = ""
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif name == "STACK_GLOBAL":
            yield ".".join(texts[-2:]) or "something without a name"
        elif "UNICODE" in name or "STRING" in name:
            last = str(argument)
            texts.append(last)
        elif name == "MEMOIZE":
            memo[len(memo)] = last
        elif "PUT" in name:
            memo[int(str(argument))] = last
        elif name.endswith("GET"):
            last = memo.get(int(str(argument)), "")
            texts.append(last)
        if name not in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT") and not _is_text(name):
            last = ""
        del texts[:-2]


def _is_text(opcode: str) -> bool:
    return "UNICODE" in opcode or "STRING" in opcode or opcode.endswith("GET")


def _is_archive(path: Path) -> bool:
    """torch before 1.6 wrote plain pickles, which cannot be mapped."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"
