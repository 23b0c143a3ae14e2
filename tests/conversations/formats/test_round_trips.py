"""What a format carries is equal after it was written and read, whatever people typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.examples import Item
from conversations.formats import FORMATS
from conversations.formats.format import Format, Options, RowKind
from conversations.formats.row_files import RowFiles
from tests.conversations.formats.items import NamedPictures, by_name, examples, preferences, verdicts

CASES = [
    pytest.param(format, kind, id=f"{format.name}{kind.ending}")
    for format in FORMATS.values()
    for kind in format.files
]
ITEMS: dict[str, st.SearchStrategy[Any]] = {
    "example": examples,
    "preference": preferences,
    "verdict": verdicts,
}
OPTIONS = Options(several_pictures=True)


def rows_of(path: Path, kind: RowKind) -> list[Any]:
    if kind.container == "parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    text = path.read_text(encoding="utf-8")
    if kind.container == "array":
        return json.loads(text)
    return [json.loads(line) for line in text.split("\n")[:-1]]


@pytest.mark.parametrize(("format", "kind"), CASES)
def test_items_come_back_as_they_were(format: Format, kind: RowKind) -> None:
    @given(st.lists(ITEMS[format.kind], min_size=1, max_size=4))
    def check(items: list[Any]) -> None:
        carried = [item for item in items if format.refusal(item, OPTIONS) is None]
        if not carried:
            return
        with TemporaryDirectory() as folder:
            files = RowFiles(Path(folder), format, NamedPictures())
            for item in carried:
                files.add("train", item)
            files.close()
            rows = rows_of(Path(folder) / f"train{kind.ending}", kind)
        assert [kind.item(row, by_name) for row in rows] == carried

    check()


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
def test_the_same_items_give_the_same_bytes(format: Format, tmp_path: Path) -> None:
    written = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = RowFiles(folder, format, NamedPictures())
        for item in some(format):
            files.add("train", item)
        written.append(files.close())
    assert written[0] == written[1]
    assert all(file.num_rows == 3 for file in written[0] if file.name != "dataset_info.json")


def some(format: Format) -> Iterator[Item]:
    """Three items that the format has a place for."""
    from tests.conversations.formats import items as i

    picture = i.ImageRef(i.SHA[0])
    prompts = [(i.question(picture, "What?"),), (i.question("Hi <image>"),), (i.question("é # ###"),)]
    for number, prompt in enumerate(prompts):
        make: dict[str, Callable[[], Item]] = {
            "example": lambda n=number, p=prompt: i.Example(f"c{n}", (*p, i.answer("A."))),
            "preference": lambda n=number, p=prompt: i.Preference(f"c{n}", p, "Good.", "Bad."),
            "verdict": lambda n=number, p=prompt: i.Verdict(f"c{n}", p, "Good.", n == 0),
        }
        yield make[format.kind]()


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
def test_a_missing_picture_leaves_no_row_in_any_file(format: Format, tmp_path: Path) -> None:
    from conversations.errors import PictureMissing
    from tests.conversations.formats.items import SHA

    with_picture, *others = some(format)
    files = RowFiles(tmp_path, format, NamedPictures(missing=frozenset({SHA[0]})))
    with pytest.raises(PictureMissing):
        files.add("train", with_picture)
    for item in others:
        files.add("train", item)
    assert {file.num_rows for file in files.close() if file.name != "dataset_info.json"} == {2}
