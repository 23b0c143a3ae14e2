"""What is shown before an export is what the export will hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conversations.export import export
from conversations.formats import FORMATS
from conversations.formats.format import Format
from conversations.image_store import ImageStore
from conversations.messages import Message
from conversations.preview import learned, preview
from conversations.selection import Selection
from tests.conversations.logged import Talk, picture, talk


def talks(images: ImageStore) -> list:
    wrong = Talk("wrong")
    wrong.ask("Is <image> a mark?", picture(images, "blue")), wrong.answer("Yes.", correction="No.")
    missing = talk("missing", images=("f" * 64,), rating="up")
    return [
        talk("one", images=(picture(images),), rating="up"),
        missing,
        wrong.logged,
        talk("bad", rating="down"),
    ]


def test_rows_are_those_of_the_export_in_order(tmp_path: Path) -> None:
    images = ImageStore(tmp_path / "store")
    selection = Selection(test=0.5)
    export(talks(images), images, tmp_path / "out", FORMATS["llava"], selection)
    shown = preview(talks(images), images, FORMATS["llava"], selection, count=10)
    assert [row.item.id for row in shown] == ["one", "wrong"]
    for row in shown:
        written = json.loads((tmp_path / "out" / f"{row.side}.json").read_text(encoding="utf-8"))
        assert row.row in written
    only = preview(talks(images), images, FORMATS["llava"], selection, start=1, count=1)
    assert only == shown[1:2]
    assert preview(talks(images), images, FORMATS["llava"], selection, start=2) == []


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
def test_what_is_shown_of_a_row_was_read_back_and_can_be_printed(format: Format, tmp_path: Path) -> None:
    images = ImageStore(tmp_path / "store")
    row = preview(talks(images), images, format, Selection())[-1]
    assert json.loads(json.dumps(row.row)) == row.row
    name, messages = learned(row.item)[-1]
    assert messages[0].text == "Is <image> a mark?"
    expected = {
        "example": ("example", "No."),
        "preference": ("rejected", "Yes."),
        "verdict": ("unwanted", "Yes."),
    }
    if format.kind == "verdict":
        assert (name, messages[-1]) in [
            ("wanted", Message("assistant", ("No.",))),
            ("unwanted", Message("assistant", ("Yes.",))),
        ]
    else:
        assert (name, messages[-1].text) == expected[format.kind]
    assert messages[-1].role == "assistant"
