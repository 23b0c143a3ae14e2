"""The pictures of an export: hard links to the stored files, which take neither time nor room, or copies.

A link is the stored file itself. Nothing in training writes to a picture; who wants to work on the exported files
asks for copies.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from conversations.errors import PictureMissing
from conversations.image_store import ImageStore

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES}
"""Another file system, or one without hard links, or one that allows no more of them to this file."""


class PictureFiles:
    """`folder` None: the pictures go into the rows' files, and none is put beside them."""

    def __init__(self, images: ImageStore, folder: Path | None, *, copy: bool = False) -> None:
        self._images = images
        self._folder = folder
        self._copy = copy
        self._names: dict[str, str] = {}
        if folder is not None:
            folder.mkdir()

    @property
    def num_files(self) -> int:
        """How many different pictures there are so far."""
        return len(self._names)

    def name(self, sha256: str) -> str:
        """`<sha256>.jpg` or `.png`; the file is there. Raises PictureMissing."""
        name = self._names.get(sha256)
        if name is None:
            stored = self._images.path(sha256)
            name = stored.name
            if self._folder is not None:
                self._put(stored, self._folder / name)
            self._names[sha256] = name
        return name

    def data(self, sha256: str) -> bytes:
        """Raises PictureMissing."""
        try:
            return self._images.path(sha256).read_bytes()
        except FileNotFoundError as error:
            raise PictureMissing(f"The picture {sha256[:12]}… is not in the store; add it again.") from error

    def _put(self, stored: Path, target: Path) -> None:
        try:
            if not self._copy:
                os.link(stored, target)
                return
        except FileNotFoundError as error:
            raise PictureMissing(
                f"The picture {stored.stem[:12]}… is not in the store; add it again."
            ) from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        shutil.copyfile(stored, target)
