"""A folder that appears whole or not at all.

What is written goes into a hidden folder beside the wanted one, and one rename puts it in place. So neither a crash nor
a full disk leaves half a checkpoint under the name that somebody will load.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.checkpoint_errors import CheckpointError, NoRoom

SPARE_BYTES = 64 * 1024 * 1024
"""Room for what is not weights (tokenizer, configs), and so that a disk is never filled to the last byte."""


class ExportError(CheckpointError):
    """A checkpoint cannot be written. The message names the value and the remedy."""


class FolderTaken(ExportError):
    """The wanted folder is there already, and nobody said that it may go."""


@contextmanager
def new_folder(wanted: Path, *, num_bytes: int = 0, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder to write into, which becomes `wanted` when the block ends without an error.

    `num_bytes` is what will be written, checked against the free disk first. With `overwrite` an older folder stays
    until the new one is whole. Raises FolderTaken, NoRoom.
    """
    wanted = wanted.expanduser().absolute()
    check_place(wanted, overwrite)
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"{wanted.parent} cannot be made ({error.strerror}); choose another place to write to."
        ) from error
    check_room(wanted.parent, num_bytes)
    beside = Path(tempfile.mkdtemp(prefix=f".{wanted.name}-", dir=wanted.parent))
    try:
        written = beside / "new"
        written.mkdir()
        yield written
        check_place(wanted, overwrite)  # it may have come into being meanwhile
        if wanted.exists():
            wanted.replace(beside / "old")
        written.replace(wanted)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_room(folder: Path, num_bytes: int) -> None:
    """Raise NoRoom where `folder`'s disk has less than `num_bytes` and some to spare."""
    free = shutil.disk_usage(folder).free
    if free < num_bytes + SPARE_BYTES:
        raise NoRoom(
            f"{folder} has {free / 1e9:.2f} GB free, but {(num_bytes + SPARE_BYTES) / 1e9:.2f} GB are needed; "
            "free some room or choose another disk."
        )


def check_place(wanted: Path, overwrite: bool) -> None:
    """Raise FolderTaken where `wanted` may not be written. Only a checkpoint is ever replaced."""
    if wanted.is_symlink() or (wanted.exists() and not wanted.is_dir()):
        raise FolderTaken(f"{wanted} is there and is no folder; choose another name.")
    if wanted.is_dir() and not overwrite and any(wanted.iterdir()):
        raise FolderTaken(
            f"{wanted} holds files already; choose another name, or add --overwrite to replace it."
        )
    if wanted.is_dir() and overwrite and any(wanted.iterdir()) and not (wanted / "config.json").is_file():
        raise FolderTaken(
            f"{wanted} holds files but no config.json, so it is no checkpoint and is not replaced; choose another name."
        )
