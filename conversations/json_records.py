"""Reads the records of a JSON file one by one, whatever its length: a list of objects, or one object after another
(JSON lines). What is broken is named by its record's number, and the records before it were given out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from conversations.errors import InvalidImport

CHUNK_CHARACTERS = 1_000_000
MAX_RECORD_CHARACTERS = 16_000_000
"""A conversation of more is none. A file without an end of its record is not read into memory whole."""

_SPACE = " \t\r\n"


def records(path: Path) -> Iterator[tuple[int, Any]]:
    """Number, from 1, and value of each record. Raises InvalidImport."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _Reader(path, file).records()
    except UnicodeDecodeError as error:
        raise InvalidImport(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    except OSError as error:
        raise InvalidImport(f"{path} cannot be read ({error.strerror}).") from error


class _Reader:
    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file
        self._text = ""
        self._place = 0
        self._at_end = False
        self._number = 1
        self._decoder = json.JSONDecoder()

    def records(self) -> Iterator[tuple[int, Any]]:
        first = self._next_character()
        if not first:
            raise InvalidImport(f"{self._path} is empty; give a JSON list of records.")
        is_list = first == "["
        self._place += is_list
        while character := self._next_character():
            if is_list and character == "]" and self._number == 1:
                break
            yield self._number, self._value()
            self._number += 1
            if not is_list:
                continue
            character = self._next_character()
            if character == "]":
                break
            if character != ",":
                raise self._broken("a comma or the list's end is missing after it", self._number - 1)
            self._place += 1
        else:
            if is_list:
                raise self._broken("the file ends before the list does")
            return
        self._place += 1
        if self._next_character():
            raise self._broken("something stands after the list's end")

    def _next_character(self) -> str:
        """The next one that is no space, "" at the end."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in _SPACE:
                    return self._text[self._place]
                self._place += 1
            if not self._read_on():
                return ""

    def _value(self) -> Any:
        while True:
            try:
                value, self._place = self._decoder.raw_decode(self._text, self._place)
            except (ValueError, RecursionError) as error:  # broken, or not here as a whole yet
                if isinstance(error, RecursionError):
                    raise self._broken("it is nested too deeply") from error
                if len(self._text) - self._place > MAX_RECORD_CHARACTERS:
                    raise self._broken(f"it has more than {MAX_RECORD_CHARACTERS} characters") from error
                if not self._read_on():
                    reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                    raise self._broken(f"it is no JSON ({reason})") from error
            else:
                return value

    def _read_on(self) -> bool:
        """More text, as much again as there is, so that a long record is not tried a thousand times."""
        if self._at_end:
            return False
        rest = self._text[self._place :]
        more = self._file.read(max(CHUNK_CHARACTERS, len(rest)))
        self._at_end = not more
        self._text, self._place = rest + more, 0
        return bool(more)

    def _broken(self, reason: str, number: int | None = None) -> InvalidImport:
        return InvalidImport(f"{self._path}, record {number or self._number}: {reason}.")
