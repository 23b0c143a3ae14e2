"""Records come one by one, and what is broken is named by its number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversations import json_records
from conversations.errors import InvalidImport
from conversations.json_records import records

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "data.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@given(
    st.lists(st.dictionaries(st.text(max_size=4), values, max_size=3), max_size=5),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.integers(1, 40),
)
@settings(max_examples=100)
def test_lists_and_lines_come_back_however_they_are_cut_into_chunks(
    folder: Path, rows: list[dict], indent: int | None, as_lines: bool, chunk: int
) -> None:
    text = json.dumps(rows, indent=indent)
    if as_lines:
        text = "\n".join(json.dumps(row) for row in rows) or "[]"
    before, json_records.CHUNK_CHARACTERS = json_records.CHUNK_CHARACTERS, chunk
    try:
        assert list(records(written(folder, text))) == list(enumerate(rows, start=1))
    finally:
        json_records.CHUNK_CHARACTERS = before


@pytest.mark.parametrize(
    ("text", "num_before", "said"),
    [
        ("", 0, "is empty"),
        ("[{}, {]", 1, "record 2: it is no JSON"),
        ("[{}, {}", 2, "record 2: a comma or the list's end is missing"),
        ("[{},", 1, "ends before the list does"),
        ("[", 0, "ends before the list does"),
        ("[{} {}]", 1, "record 1: a comma"),
        ("[{}] x", 1, "something stands after the list's end"),
        ("{}\n{oops}\n", 1, "record 2: it is no JSON"),
        ('[{"a": "', 0, "record 1: it is no JSON"),
        ("[" * 200_000, 0, "nested too deeply"),
        ('[{"a": ' + "9" * 10_000 + "}]", 0, "record 1: it is no JSON"),
        (b"\xff\xfe", 0, "not UTF-8"),
        (b'[{}, {"a": "\xff"}]', 0, "not UTF-8"),
    ],
)
def test_what_is_broken_is_named_after_the_records_before_it(
    folder: Path, text: str | bytes, num_before: int, said: str
) -> None:
    found = []
    with pytest.raises(InvalidImport) as caught:
        for number, _ in records(written(folder, text)):
            found.append(number)
    assert said in str(caught.value)
    assert "data.json" in str(caught.value)
    assert len(found) == num_before


def test_a_record_without_an_end_is_not_read_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "CHUNK_CHARACTERS", 1000)
    monkeypatch.setattr(json_records, "MAX_RECORD_CHARACTERS", 5000)
    with pytest.raises(InvalidImport, match="record 2: it has more than 5000 characters"):
        list(records(written(folder, '[{}, {"a": "' + "x" * 100_000)))


def test_a_byte_order_mark_is_no_part_of_it(folder: Path) -> None:
    assert list(records(written(folder, b"\xef\xbb\xbf[{}]"))) == [(1, {})]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidImport, match=r"nothing\.json"):
        list(records(tmp_path / "nothing.json"))
