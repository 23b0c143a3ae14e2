"""Pictures on disk, each stored once, named by the SHA-256 of the bytes that are stored.

What is stored is not what was sent but what was seen: upright RGB pixels encoded anew, so that no metadata (a
place, a name, a camera) and no trick in the file survives. The same upload always gives the same bytes and so
the same name. Whose a picture is, the conversation store knows; this one only knows bytes, and which of them
nobody has sent yet.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image

from conversations.errors import PictureMissing, PictureRefused, UnwritableFolder
from conversations.messages import ImageRef
from conversations.picture import read_picture

__all__ = ["ImageStore", "PictureRefused"]

THUMBNAIL_SIDE = 320
"""Longest side of a thumbnail, in pixels."""

JPEG_QUALITY = 92
THUMBNAIL_QUALITY = 82
MAX_LOSSLESS_PIXELS = 4_000_000
"""A PNG of more pixels is a photo more often than a drawing, and is stored as JPEG."""

MAX_DECODING = 2
"""Pictures decoded at the same time; one of 40 million pixels takes about half a gigabyte meanwhile."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


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
            stored = _encode(image, "JPEG" if as_jpeg else "PNG", JPEG_QUALITY)
        sha256 = hashlib.sha256(stored).hexdigest()
        self._mark_draft(sha256)
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
        raise PictureMissing(f"The picture {sha256[:12]}… is not in the store; add it again.")

    def thumbnail(self, sha256: str) -> Path:
        """A small JPEG of a stored picture, made when it is first asked for. Raises PictureMissing."""
        path = self._thumbnail_path(sha256)
        if path.is_file():
            return path
        with Image.open(self.path(sha256), formats=("PNG", "JPEG")) as image:
            scale = min(1.0, THUMBNAIL_SIDE / max(image.size))
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image.draft(
                "RGB", size
            )  # a JPEG is decoded at an eighth, a quarter or a half where that is enough
            small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        self._write(path, _encode(small, "JPEG", THUMBNAIL_QUALITY))
        return path

    def size(self, sha256: str) -> tuple[int, int]:
        """Width and height of a stored picture in pixels, from its header. Raises PictureMissing."""
        with Image.open(self.path(sha256), formats=("PNG", "JPEG")) as image:
            return image.size

    def media_type(self, sha256: str) -> str:
        """`image/png` or `image/jpeg`, of the stored picture. Raises PictureMissing."""
        return _MEDIA_TYPES[self.path(sha256).suffix]

    def data_url(self, sha256: str) -> str:
        """The stored picture as a data URL, as the OpenAI protocol carries it. Raises PictureMissing."""
        path = self.path(sha256)
        encoded = base64.b64encode(path.read_bytes()).decode("ascii")
        return f"data:{_MEDIA_TYPES[path.suffix]};base64,{encoded}"

    def remove(self, sha256: str) -> None:
        """Remove a picture and its thumbnail; nothing happens if it is not there. Only the conversation
        store, which knows that nobody uses it any more, should call this."""
        stem = self._stem(sha256)
        self.settle(sha256)
        for path in (self._thumbnail_path(sha256), *(stem.with_suffix(suffix) for suffix in _MEDIA_TYPES)):
            path.unlink(missing_ok=True)

    def _stem(self, sha256: str) -> Path:
        """The path without its suffix. Whatever is not 64 hexadecimal digits never comes near the disk."""
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise PictureMissing("A picture is known by 64 hexadecimal digits; this id is not one.")
        return self.folder / sha256[:2] / sha256[2:4] / sha256

    def _thumbnail_path(self, sha256: str) -> Path:
        stem = self._stem(sha256)
        return stem.with_name(f"{stem.name}.thumbnail.jpg")

    def _draft_path(self, sha256: str) -> Path:
        return self.folder / ".drafts" / self._stem(sha256).name

    def _mark_draft(self, sha256: str) -> None:
        """Before the file itself, so that a crash in between leaves a mark without a file and not a file for
        ever."""
        try:
            (self.folder / ".drafts").mkdir(exist_ok=True)
            self._draft_path(sha256).touch()
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file that appears whole or not at all, and never over another."""
        if path.is_file():
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
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


def _encode(image: Image.Image, file_format: str, quality: int) -> bytes:
    """The bytes of a picture without any metadata: Pillow would write comment, resolution and colour profile
    anew."""
    image.info = {}
    buffer = io.BytesIO()
    if file_format == "PNG":
        image.save(buffer, "PNG", compress_level=6)
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def _unwritable(folder: Path, error: OSError) -> UnwritableFolder:
    return UnwritableFolder(
        f"The pictures' folder {folder} cannot be written ({error.strerror}); make it writable and make room."
    )
