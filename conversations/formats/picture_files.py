"""The pictures of an export: hard links to the stored files, which take neither time nor room, or copies.

A link is the stored file itself. Nothing in training writes to a picture; who wants to work on the exported files
asks for copies.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
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

    def take(self, sha256s: Sequence[str]) -> list[str]:
        """Have these pictures, all or none: returns those whose files are missing."""
        new: dict[str, Path] = {}
        missing = []
        for sha256 in sha256s:
            if sha256 in self._names or sha256 in new:
                continue
            try:
                new[sha256] = self._images.path(sha256)
            except PictureMissing:
                missing.append(sha256)
        if not missing:
            for sha256, stored in new.items():
                try:
                    self._put(stored)
                except FileNotFoundError:  # removed just now
                    missing.append(sha256)
                else:
                    self._names[sha256] = stored.name
        return missing

    def name(self, sha256: str) -> str:
        """`<sha256>.jpg` or `.png`, of a picture that was taken."""
        return self._names[sha256]

    def data(self, sha256: str) -> bytes:
        """The bytes of a picture that was taken. Raises PictureMissing if it was removed since."""
        try:
            return self._images.path(sha256).read_bytes()
        except FileNotFoundError as error:
            raise PictureMissing(f"The picture {sha256[:12]}… is not in the store; add it again.") from error

    def _put(self, stored: Path) -> None:
        if self._folder is None:
            return
        target = self._folder / stored.name
        if not self._copy:
            try:
                os.link(stored, target)
                return
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
        shutil.copyfile(stored, target)
