"""The held-out questions of a run with the right answer and the model's before and after, as the trainer wrote them.

What is counted as right is what the trainer counts: the very words, but for space around them.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from app.worker_child import ROOT
from conversations.errors import NotFound, PictureMissing
from conversations.picture import read_picture
from model.training.config import TrainingConfig
from model.training.run_folder import RunFolder

SIDE, SMALL_SIDE = 1344, 320
"""Longest sides of what the model and the browser are sent, in pixels; as in conversations/rendition.py."""

MAX_BYTES, MAX_PIXELS = 50_000_000, 40_000_000
GONE = "The picture of this question is no longer where the run found it."


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One question. `number` is its place in the file; `after` is None until the run has ended; `pictures` are files,
    `earlier` what was said before it: question, answer, and so on."""

    number: int
    question: str
    right: str
    before: str | None
    after: str | None
    pictures: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()

    @property
    def was_right(self) -> bool:
        return self.before is not None and is_same(self.before, self.right)

    @property
    def is_right(self) -> bool:
        return self.after is not None and is_same(self.after, self.right)


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of `number` were exactly right; None where nothing was asked."""

    number: int
    before: int | None
    after: int | None


def is_same(given: str, right: str) -> bool:
    return given.strip() == right.strip()


def read_held_out(folder: RunFolder) -> tuple[HeldOut, ...]:
    """In the file's order; a row without a question or a right answer is left out."""
    rows = [_row(number, each) for number, each in enumerate(folder.answers())]
    return tuple(row for row in rows if row is not None)


def shares(rows: Sequence[HeldOut]) -> Shares:
    before = [row.was_right for row in rows if row.before is not None]
    after = [row.is_right for row in rows if row.after is not None]
    return Shares(len(rows), sum(before) if before else None, sum(after) if after else None)


def find(folder: RunFolder, number: int) -> HeldOut:
    """Raises NotFound."""
    for row in read_held_out(folder):
        if row.number == number:
            return row
    raise NotFound(f"This run has no held-out question {number + 1}; open its results again.")


def picture_file(row: HeldOut, place: int, config: TrainingConfig, run: Path) -> Path:
    """The file of one of its pictures: only below the folders of pictures that the run in the folder `run` was given.
    Raises NotFound, PictureMissing."""
    if not 0 <= place < len(row.pictures):
        raise NotFound("This question has no such picture.")
    wanted = row.pictures[place]
    for source in config.data:
        folder = Path(source.pictures) if source.pictures else Path(source.file).parent
        for root in (run, ROOT):  # a selection's files lie in the run's own folder
            inside, path = (root / folder).resolve(), (root / wanted).resolve()
            if path.is_relative_to(inside) and path.is_file():
                return path
    raise PictureMissing(GONE)


def picture_bytes(path: Path, longest_side: int) -> tuple[bytes, str]:
    """What is sent of it, upright and without metadata, and its media type. Raises PictureMissing, PictureRefused."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PictureMissing(GONE) from error
    read = read_picture(data, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
    image = read.image
    scale = min(1.0, longest_side / max(image.size))
    if scale < 1.0:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    image.info = {}
    buffer = io.BytesIO()
    if read.photo:
        image.save(buffer, "JPEG", quality=92)
        return buffer.getvalue(), "image/jpeg"
    image.save(buffer, "PNG")
    return buffer.getvalue(), "image/png"


def data_url(path: Path) -> str:
    """Raises PictureMissing, PictureRefused."""
    data, media_type = picture_bytes(path, SIDE)
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _row(number: int, told: Mapping[str, Any]) -> HeldOut | None:
    def text(name: str) -> str | None:
        value = told.get(name)
        return value if isinstance(value, str) else None

    def texts(name: str) -> tuple[str, ...]:
        values = told.get(name)
        return tuple(each for each in values if isinstance(each, str)) if isinstance(values, list) else ()

    question, right = text("question"), text("right")
    if question is None or right is None:
        return None
    pictures, earlier = texts("pictures"), texts("earlier")
    return HeldOut(number, question, right, text("before"), text("after"), pictures, earlier)
