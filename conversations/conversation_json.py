"""One conversation as JSON, with all its versions and pictures, written and read.

What is read may come from anybody: every value is checked for its type here, with an error that names the field as
`turns[3].text`, and for what it says when it is inserted. Pictures are named by the file only to be found in it; what
they are called in the store is what their bytes say.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from conversations.errors import InvalidImport, PictureRefused
from conversations.image_store import ImageStore
from conversations.messages import ImageRef
from conversations.moments import moment_of
from conversations.turns import AnswerDetails
from conversations.whole import UNKNOWN_ANSWER, WholeConversation, WholeTurn

FORMAT = "llava-loop-conversation"
VERSION = 1
MAX_BYTES = 300_000_000
MAX_TURNS = 20_000
MISSING = "(The picture of this question is missing.)"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_Type = TypeVar("_Type")
_NAMES = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of a file, by the name that its turns use."""

    files: Mapping[str, bytes]

    def stored(self, name: str, images: ImageStore) -> ImageRef:
        """Through the door that every picture comes through. Raises InvalidImport."""
        try:
            return images.add(self.files[name])
        except PictureRefused as error:
            raise InvalidImport(f"pictures.{name[:12]}…: {error} Nothing was kept.") from error


def written(whole: WholeConversation, pictures: Pictures) -> bytes:
    used = dict.fromkeys(image.sha256 for turn in whole.turns for image in turn.images)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "title": whole.title,
        "system_prompt": whole.system_prompt,
        "created_at": None if whole.created_at is None else whole.created_at.isoformat(),
        "tags": list(whole.tags),
        "is_pinned": whole.is_pinned,
        "is_archived": whole.is_archived,
        "is_private": whole.is_private,
        "turns": [_turn_written(turn) for turn in whole.turns],
        "pictures": {name: base64.b64encode(data).decode("ascii") for name, data in pictures.files.items()},
        "missing_pictures": [name for name in used if name not in pictures.files],
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8")


def _turn_written(turn: WholeTurn) -> dict[str, Any]:
    values: dict[str, Any] = {
        "parent": turn.parent,
        "role": turn.role,
        "text": turn.text,
        "created_at": None if turn.created_at is None else turn.created_at.isoformat(),
        "is_shown": turn.is_shown,
    }
    if turn.role == "user":
        return values | {"pictures": [image.sha256 for image in turn.images]}
    answer = asdict(turn.answer)
    if answer["finish_reason"] == "running":
        answer["finish_reason"] = "interrupted"  # what had come by now is all that is in the file
    judged = {
        "rating": turn.rating,
        "reasons": list(turn.reasons),
        "note": turn.note,
        "correction": turn.correction,
        "state": turn.state,
        "tags": list(turn.tags),
    }
    return values | judged | {"answer": answer}


def parsed(data: bytes) -> tuple[WholeConversation, Pictures]:
    """Raises InvalidImport."""
    document = _Fields(_document(data), "")
    if document.get("format", str) != FORMAT:
        raise _wrong("format", document.values["format"], repr(FORMAT))
    if document.get("version", int) != VERSION:
        raise _wrong("version", document.values["version"], f"{VERSION}; a newer program wrote this file")
    pictures = Pictures(
        {name: _decoded(name, text) for name, text in document.get("pictures", dict, default={}).items()}
    )
    missing = {name for name in document.get("missing_pictures", list, default=[]) if isinstance(name, str)}
    turns = document.get("turns", list)
    if len(turns) > MAX_TURNS:
        raise InvalidImport(f"turns has {len(turns)} entries; at most {MAX_TURNS} are kept.")
    whole = WholeConversation(
        turns=tuple(
            _turn(_Fields(turn, f"turns[{place}]."), pictures, missing) for place, turn in enumerate(turns)
        ),
        title=document.get("title", str, default=""),
        system_prompt=document.get("system_prompt", str, default=""),
        created_at=document.time("created_at"),
        tags=document.texts("tags"),
        is_pinned=document.get("is_pinned", bool, default=False),
        is_archived=document.get("is_archived", bool, default=False),
        is_private=document.get("is_private", bool, default=False),
    )
    return whole, pictures


def _document(data: bytes) -> object:
    if len(data) > MAX_BYTES:
        raise InvalidImport(
            f"The file has {len(data) / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read."
        )
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidImport(
            f"The file is no text in UTF-8 (byte {error.start + 1}); export it again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidImport(f"The file is no JSON: {str(error)[:200]}.") from error


def _turn(values: _Fields, pictures: Pictures, missing: set[str]) -> WholeTurn:
    names = values.texts("pictures")
    for name in names:
        if name not in pictures.files and name not in missing:
            raise _wrong(f"{values.path}pictures", name, "the name of a picture in `pictures`")
    text = values.get("text", str)
    images = tuple(ImageRef(name) for name in names if name in pictures.files)
    parent = values.get("parent", int, default=None)
    answer = values.get("answer", dict, default=None)
    return WholeTurn(
        parent=parent,
        role=values.get("role", str),
        text=MISSING if names and not images and not text.strip() else text,
        images=images,
        created_at=values.time("created_at"),
        is_shown=values.get("is_shown", bool, default=True),
        answer=UNKNOWN_ANSWER if answer is None else _details(_Fields(answer, f"{values.path}answer.")),
        rating=values.get("rating", str, default=None),
        reasons=values.texts("reasons"),  # type: ignore[arg-type]  # checked where they are inserted
        note=values.get("note", str, default=""),
        correction=values.get("correction", str, default=None),
        state=values.get("state", str, default="pending"),
        tags=values.texts("tags"),
    )


_ANSWER_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("model", "template", "system_prompt", "finish_reason", "error"), str),
    **dict.fromkeys(("max_new_tokens", "seed", "num_prompt_tokens", "num_completion_tokens"), int),
    **dict.fromkeys(("temperature", "top_p", "first_token_ms", "duration_ms"), float),
}
_ENDS = ("stop", "length", "stopped", "failed", "interrupted")


def _details(values: _Fields) -> AnswerDetails:
    known = asdict(UNKNOWN_ANSWER)
    read = {
        each.name: values.get(each.name, _ANSWER_TYPES[each.name], default=known[each.name])
        for each in fields(AnswerDetails)
    }
    if read["finish_reason"] not in _ENDS:
        raise _wrong(f"{values.path}finish_reason", read["finish_reason"], f"one of {', '.join(_ENDS)}")
    for name in ("num_prompt_tokens", "num_completion_tokens", "first_token_ms", "duration_ms"):
        if read[name] is not None and not 0 <= read[name] < 2**31:
            raise _wrong(f"{values.path}{name}", read[name], "a number from 0")
    return AnswerDetails(**read)


class _Fields:
    """An object of the file, and where it stands, for the errors."""

    def __init__(self, values: object, path: str) -> None:
        if not isinstance(values, dict):
            raise _wrong(path.rstrip(".") or "The file", values, "an object")
        self.values: dict[str, Any] = values
        self.path = path

    def get(self, name: str, kind: type[_Type], *, default: Any = ...) -> Any:
        """A field's value of this type; null and absent are the default where there is one."""
        value = self.values.get(name)
        if value is None:
            if default is ...:
                raise InvalidImport(f"{self.path}{name} is not there; give {_NAMES[kind]}.")
            return default
        right = isinstance(value, (int, float) if kind is float else kind)
        if not right or (isinstance(value, bool) and kind is not bool):
            raise _wrong(f"{self.path}{name}", value, _NAMES[kind])
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.get(name, list, default=[])
        for place, value in enumerate(values):
            if not isinstance(value, str):
                raise _wrong(f"{self.path}{name}[{place}]", value, "a text")
        return tuple(values)

    def time(self, name: str) -> datetime | None:
        value = self.get(name, str, default=None)
        try:
            return None if value is None else moment_of(value)
        except ValueError as error:
            raise _wrong(f"{self.path}{name}", value, "a time like 2026-01-31T12:00:00+00:00") from error


def _decoded(name: str, text: object) -> bytes:
    if not _SHA256.fullmatch(name):
        raise _wrong("A name in pictures", name, "64 hexadecimal digits")
    try:
        return base64.b64decode(text if isinstance(text, str) else "!", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidImport(f"pictures.{name[:12]}… is no base64; export the conversation again.") from error


def _wrong(where: str, value: object, allowed: str) -> InvalidImport:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
    return InvalidImport(f"{where} cannot be {shown}; give {allowed}.")
