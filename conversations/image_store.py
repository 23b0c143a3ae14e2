"""Pictures on disk, each stored once, named by the SHA-256 of the bytes that are stored.

What is stored is not what was sent but what was seen: upright RGB pixels encoded anew, so that no metadata (a
place, a name, a camera) and no trick in the file survives. The same upload always gives the same bytes and so
the same name. Whose a picture is, the conversation store knows; this one only knows bytes, and which of them
nobody has sent yet.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image

from conversations.errors import PictureMissing, PictureRefused, UnwritableFolder
from conversations.fingerprint import FINGERPRINT_LENGTH, fingerprint
from conversations.messages import ImageRef
from conversations.picture import read_picture
from conversations.rendition import JPEG_QUALITY, encode, may_be_sent, thumbnail, to_send

__all__ = ["ImageStore", "PictureRefused"]

MAX_LOSSLESS_PIXELS = 4_000_000
"""A PNG of more pixels is a photo more often than a drawing, and is stored as JPEG."""

MAX_DECODING = 2
"""Pictures decoded at the same time; one of 40 million pixels takes about half a gigabyte meanwhile."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}
_THUMBNAIL = ".thumbnail.jpg"
_SENT = (".sent.png", ".sent.jpg")


class ImageStore:
    """Pictures in a folder, at ab/cd/<sha256>.png or .jpg. Any number of threads and processes may use one
    folder."""

    def __init__(self, folder: Path, max_bytes: int = 15_000_000, max_pixels: int = 40_000_000) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.max_pixels = max_pixels
        self._decoding = threading.BoundedSemaphore(MAX_DECODING)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error

    def add(self, data: bytes) -> ImageRef:
        """Store a picture that somebody sent. Raises PictureRefused if it is broken, too large, animated or
        no picture, UnwritableFolder if it cannot be stored."""
        with self._decoding:
            picture = read_picture(data, max_bytes=self.max_bytes, max_pixels=self.max_pixels)
            image = picture.image
            as_jpeg = picture.photo or image.width * image.height > MAX_LOSSLESS_PIXELS
            stored = encode(image, "JPEG" if as_jpeg else "PNG", JPEG_QUALITY)
            look = fingerprint(image)
        sha256 = hashlib.sha256(stored).hexdigest()
        self._mark_draft(sha256, look)
        self._write(self._stem(sha256).with_suffix(".jpg" if as_jpeg else ".png"), stored)
        return ImageRef(sha256, image.width, image.height)

    def settle(self, sha256: str) -> None:
        """The picture has found its place in a conversation: no draft any more."""
        self._draft_path(sha256).unlink(missing_ok=True)

    def drafts(self, older_than_seconds: float = 0.0) -> list[str]:
        """The pictures that were added, at least so long ago, and found no place in a conversation since."""
        before = time.time() - older_than_seconds
        marks = (self.folder / ".drafts").glob("*")
        return [
            mark.name for mark in marks if _SHA256.fullmatch(mark.name) and mark.stat().st_mtime <= before
        ]

    def is_draft(self, sha256: str) -> bool:
        """Whether somebody added this picture and may be about to send it."""
        return self._draft_path(sha256).exists()

    def path(self, sha256: str) -> Path:
        """The file of a stored picture. Raises PictureMissing."""
        stem = self._stem(sha256)
        for suffix in _MEDIA_TYPES:
            if (path := stem.with_suffix(suffix)).is_file():
                return path
        raise _missing(sha256)

    def thumbnail(self, sha256: str) -> Path:
        """A small JPEG of a stored picture, made when it is first asked for. Raises PictureMissing."""
        stem = self._stem(sha256)
        path = stem.with_name(stem.name + _THUMBNAIL)
        if not path.is_file():
            with _may_vanish(sha256), self._decoding:
                small = thumbnail(self.path(sha256))
            self._write_copy(sha256, path, small)
        return path

    def to_send(self, sha256: str) -> Path:
        """The file that a model is sent: the stored one, or a smaller copy of it, made when it is first asked
        for. Raises PictureMissing."""
        stem = self._stem(sha256)
        for ending in _SENT:
            if (path := stem.with_name(stem.name + ending)).is_file():
                return path
        stored = self.path(sha256)
        with _may_vanish(sha256), self._decoding:
            if may_be_sent(stored):
                return stored
            small, suffix = to_send(stored)
        path = stem.with_name(f"{stem.name}.sent{suffix}")
        self._write_copy(sha256, path, small)
        return path

    def size(self, sha256: str) -> tuple[int, int]:
        """Width and height of a stored picture in pixels, from its header. Raises PictureMissing."""
        with _may_vanish(sha256), Image.open(self.path(sha256), formats=("PNG", "JPEG")) as image:
            return image.size

    def fingerprint(self, sha256: str) -> str:
        """What a stored picture looks like (conversations/fingerprint.py). Raises PictureMissing."""
        path = self.path(sha256)
        with suppress(FileNotFoundError):
            if len(look := self._draft_path(sha256).read_text(errors="replace")) == FINGERPRINT_LENGTH:
                return look
        with _may_vanish(sha256), self._decoding, Image.open(path, formats=("PNG", "JPEG")) as image:
            image.draft("RGB", (256, 256))  # a JPEG is decoded at an eighth, where that leaves enough
            return fingerprint(image)

    def media_type(self, sha256: str) -> str:
        """`image/png` or `image/jpeg`, of the stored picture. Raises PictureMissing."""
        return _MEDIA_TYPES[self.path(sha256).suffix]

    def data_url(self, sha256: str) -> str:
        """What a model is sent of a picture (`to_send`) as a data URL, as the OpenAI protocol carries it: at
        most 1344 pixels a side, at most about 3 MB. Raises PictureMissing."""
        path = self.to_send(sha256)
        with _may_vanish(sha256):
            encoded = base64.b64encode(path.read_bytes()).decode("ascii")
        return f"data:{_MEDIA_TYPES[path.suffix]};base64,{encoded}"

    def remove(self, sha256: str) -> None:
        """Remove a picture and its smaller copies; nothing happens if it is not there. Only the conversation
        store, which knows that nobody uses it any more, should call this."""
        stem = self._stem(sha256)
        self.settle(sha256)
        for ending in (*_MEDIA_TYPES, _THUMBNAIL, *_SENT):  # itself first: see _write_copy
            stem.with_name(stem.name + ending).unlink(missing_ok=True)

    def _stem(self, sha256: str) -> Path:
        """The path without its suffix. Whatever is not 64 hexadecimal digits never comes near the disk."""
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise PictureMissing("A picture is known by 64 hexadecimal digits; this id is not one.")
        return self.folder / sha256[:2] / sha256[2:4] / sha256

    def _draft_path(self, sha256: str) -> Path:
        return self.folder / ".drafts" / self._stem(sha256).name

    def _mark_draft(self, sha256: str, look: str) -> None:
        """Before the file itself, so that a crash in between leaves a mark without a file and not a file for
        ever. The mark holds what the picture looks like, since it will not be decoded again soon."""
        try:
            (self.folder / ".drafts").mkdir(mode=0o700, exist_ok=True)
            self._draft_path(sha256).write_text(look)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _write_copy(self, sha256: str, path: Path, data: bytes) -> None:
        """Write a smaller copy, unless the picture was removed meanwhile: then none is left behind. Raises
        PictureMissing."""
        self._write(path, data)
        try:
            self.path(sha256)
        except PictureMissing:
            path.unlink(missing_ok=True)
            raise

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file that appears whole or not at all, and never over another."""
        if path.is_file():
            return
        try:
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)  # two writers of one name write the same bytes
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _unwritable(path.parent, error) from error


@contextmanager
def _may_vanish(sha256: str) -> Iterator[None]:
    """Another thread may remove a picture after its file was found and before it is read."""
    try:
        yield
    except FileNotFoundError as error:
        raise _missing(sha256) from error


def _missing(sha256: str) -> PictureMissing:
    return PictureMissing(f"The picture {sha256[:12]}… is not in the store; add it again.")


def _unwritable(folder: Path, error: OSError) -> UnwritableFolder:
    return UnwritableFolder(
        f"The pictures' folder {folder} cannot be written ({error.strerror}); make it writable and make room."
    )
