"""One conversation as Markdown to read, with its pictures, in a zip.

What was typed stays what it was: it stands in quotes, so that a heading or an HTML tag in an answer makes neither a
heading nor a tag of this document.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence

from conversations.conversation_json import Pictures
from conversations.turns import Turn

_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}
_DATE = (1980, 1, 1, 0, 0, 0)
_ESCAPED = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#+|~$&!"})


def zipped(title: str, turns: Sequence[Turn], pictures: Pictures) -> bytes:
    """The same conversation gives the same bytes."""
    names = {sha256: f"images/{sha256[:16]}{_suffix(data)}" for sha256, data in pictures.files.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _put(
            archive, "conversation.md", "\n".join(_lines(title, turns, names)).encode(), zipfile.ZIP_DEFLATED
        )
        for sha256, data in pictures.files.items():
            _put(archive, names[sha256], data, zipfile.ZIP_STORED)
    return buffer.getvalue()


def _put(archive: zipfile.ZipFile, name: str, data: bytes, method: int) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = method
    archive.writestr(entry, data)


def _lines(title: str, turns: Iterable[Turn], names: dict[str, str]) -> Iterable[str]:
    yield f"# {title.translate(_ESCAPED)}"
    for turn in turns:
        answer = turn.answer
        who = "You" if answer is None else f"Model {answer.model.translate(_ESCAPED)}"
        yield f"\n## {who}, {turn.created_at:%Y-%m-%d %H:%M} UTC\n"
        for image in turn.images:
            name = names.get(image.sha256)
            yield f"![A picture]({name})\n" if name else "*A picture that is missing.*\n"
        yield _quoted(turn.text)
        if answer is not None and answer.finish_reason not in ("stop", "running"):
            yield f"\n*The answer ended early: {answer.finish_reason}.*"
        if turn.rating is not None:
            reasons = ", ".join(reason.replace("_", " ") for reason in turn.reasons)
            yield f"\n*Rated {turn.rating}{f' ({reasons})' if reasons else ''}.*"
            if turn.note:
                yield f"\n*Note:*\n\n{_quoted(turn.note)}"
        if turn.correction is not None:
            yield f"\n*The right answer:*\n\n{_quoted(turn.correction)}"
    yield ""


def _quoted(text: str) -> str:
    return "\n".join(f"> {line.translate(_ESCAPED)}".rstrip() for line in text.splitlines()) or ">"


def _suffix(data: bytes) -> str:
    return next((suffix for magic, suffix in _SUFFIXES.items() if data.startswith(magic)), ".bin")
