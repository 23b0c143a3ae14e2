"""A folder that is there whole or not at all, and a full or closed disk told in a sentence."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conversations.errors import DiskFull, UnwritableFolder


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place in the end, or is removed. Raises DiskFull, UnwritableFolder."""
    with told(folder.parent):
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
        try:
            yield part
            part.rename(folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """What the disk of `folder` refuses, as DiskFull or UnwritableFolder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"There is no room left on the disk of {folder}; make room.") from error
        raise UnwritableFolder(
            f"The folder {folder} cannot be written ({error.strerror}); make it writable or name another."
        ) from error
