"""A message's content as files hold it: one text with `<image>` where a picture stands, or a list of typed blocks;
each way written and read.

Parts are joined by line breaks, as a template joins them. Text is escaped part by part before it is joined, so the
marks in the result are pictures and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from conversations.escaping import escape, restore
from conversations.formats.format import PictureOf, RowError
from conversations.messages import Content, ImageRef, Message, Role

MARK = "<image>"
IMAGE_FOLDER = "images"

Change = Callable[[str], str]


def canonical(content: Content) -> Content:
    """The same content with neighbouring texts joined by a line break and empty ones left out: what every way of
    writing can carry."""
    parts: list[str | ImageRef] = []
    for part in content:
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] = f"{parts[-1]}\n{part}" if part and parts[-1] else parts[-1] or part
        elif part != "":
            parts.append(part)
    return tuple(parts)


def marked_text(content: Content, escape: Change = escape) -> str:
    """One text; each picture is a mark."""
    return "\n".join(MARK if isinstance(part, ImageRef) else escape(part) for part in content)


def from_marked_text(text: str, pictures: Iterator[ImageRef], restore: Change = restore) -> Content:
    """The content again; a mark takes the next picture. Raises StopIteration's stand-in, RowError, where there are
    more marks than pictures. The line break on each side of a mark belongs to the mark."""
    pieces = text.split(MARK)
    parts: list[str | ImageRef] = []
    for number, piece in enumerate(pieces):
        if number > 0:
            picture = next(pictures, None)
            if picture is None:
                raise RowError(
                    "", f"there are more marks {MARK} than pictures; add the pictures, or remove marks"
                )
            parts.append(picture)
            piece = piece.removeprefix("\n")
        if number < len(pieces) - 1:
            piece = piece.removesuffix("\n")
        if piece:
            parts.append(restore(piece))
    return tuple(parts)


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": escape(text)}


def checked_text(value: object, field: str) -> str:
    """A text, or RowError."""
    if not isinstance(value, str):
        raise RowError(field, f"must be a text, not {short(value)}")
    return value


def checked_rows(value: object, field: str) -> list[dict[str, Any]]:
    """A list of objects, or RowError."""
    if not isinstance(value, list) or not value:
        raise RowError(field, f"must be a list with at least one entry, not {short(value)}")
    for number, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise RowError(f"{field}[{number}]", f"must be an object, not {short(entry)}")
    return value


def picture_list(value: object, field: str, picture: PictureOf) -> list[ImageRef]:
    """The pictures that a list of names, or of objects with a `path`, stands for."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise RowError(field, f"must be a list of names, not {short(value)}")
    return [picture(checked_text(name, f"{field}[{number}]")) for number, name in enumerate(value)]


def alternating(messages: Sequence[Message], field: str, *, last: Role = "assistant") -> tuple[Message, ...]:
    """The same messages if they are question and answer in turn and end with `last`, or RowError."""
    for number, message in enumerate(messages):
        expected = "user" if number % 2 == 0 else "assistant"
        if message.role != expected:
            raise RowError(
                f"{field}[{number}]",
                f"is the {message.role}'s, where the {expected}'s turn is; they alternate",
            )
    if not messages or messages[-1].role != last:
        raise RowError(field, f"must end with a turn of the {last}")
    return tuple(messages)


def short(value: object) -> str:
    shown = repr(value) if not isinstance(value, (list, dict)) else type(value).__name__
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
