"""What a format is: how one item becomes a row, how a row becomes that item again, and which items have no place
in it. The rows' files are written by conversations/formats/row_files.py, which knows nothing of what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from conversations.errors import LogError
from conversations.examples import Example, Item, Preference, Verdict
from conversations.messages import ImageRef

Kind = Literal["example", "preference", "verdict"]
"""What the rows hold; conversations/export.py makes that of a conversation."""

Container = Literal["array", "lines", "parquet"]
"""A JSON array, one JSON object a line, or Parquet."""

Column = Literal["text", "flag", "messages", "pictures"]
Columns = Mapping[str, Column]
"""The columns of a table: messages are [{role, content: [{type, text}]}], pictures [{bytes, path}]."""

Row = dict[str, Any]
PictureOf = Callable[[str], ImageRef]
"""From the name of a picture in a file to the picture. Raises InvalidImport, PictureRefused, PictureMissing."""


class RowError(LogError, ValueError):
    """A row that cannot be read; `field` says where in it. Whoever reads the file adds the row's number."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field}: {sentence}" if field else sentence)
        self.field = field
        self.sentence = sentence


class Pictures(Protocol):
    """The pictures of an export."""

    def name(self, sha256: str) -> str:
        """The name of its file in the folder `images`."""
        ...

    def data(self, sha256: str) -> bytes:
        """The bytes of that file."""
        ...


@dataclass(frozen=True, slots=True)
class RowKind:
    """One kind of file of a format: `<side><ending>`."""

    ending: str
    container: Container
    row: Callable[[Any, Pictures], Row]  # the item is of the format's kind
    item: Callable[[Any, PictureOf], Item]  # raises RowError
    columns: Columns = field(default_factory=dict)  # of a table


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose about a format."""

    several_pictures: bool = False  # llava: write them as a list, which LLaVA's own trainer does not read


@dataclass(frozen=True, slots=True)
class Format:
    """`links_pictures`: whether the files name pictures in the folder `images`. `beside`: further files by name,
    from the sides that have rows."""

    name: str
    kind: Kind
    files: tuple[RowKind, ...]
    read_by: str
    links_pictures: bool = True
    refusal: Callable[[Any, Options], str | None] = lambda item, options: None
    beside: Callable[[Sequence[str]], Mapping[str, object]] = lambda sides: {}


def num_answers(item: Example | Preference | Verdict) -> int:
    """How many answers are learned from an item."""
    return len(item.messages) // 2 if isinstance(item, Example) else 1
