"""Data from elsewhere comes into the library whole, and goes out again as it came in."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversations import importing
from conversations.errors import InvalidImport
from conversations.export import export
from conversations.filters import Filters
from conversations.formats import FORMATS
from conversations.formats.format import Options
from conversations.importing import import_file
from conversations.selection import Selection
from conversations.store import ConversationStore
from conversations.training_json import PictureFolder
from tests.conversations.formats.items import typed
from tests.conversations.small_log import open_store, png

LLAVA = FORMATS["llava"]


def record(*values: str, image: Any = None) -> dict[str, Any]:
    turns = [{"from": ("human", "gpt")[place % 2], "value": value} for place, value in enumerate(values)]
    return {"id": "x", "conversations": turns} | ({} if image is None else {"image": image})


def written(folder: Path, rows: list[Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    for colour in ("red", "blue"):
        (folder / "images" / f"{colour}.png").write_bytes(png(colour))
    path = folder / "data.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def imported(store: ConversationStore, path: Path, **more: Any) -> importing.ImportTally:
    return import_file(store, "ann", path, PictureFolder(path.parent / "images"), tag="t", **more)


def exported(store: ConversationStore, folder: Path, **filters: Any) -> list[dict[str, Any]]:
    """The rows of everything in the log, without their ids."""
    selection = Selection(Filters(**filters), mask_personal_data=False)
    export(
        store.reader.conversations(selection.filters),
        store.images,
        folder,
        LLAVA,
        selection,
        options=Options(several_pictures=True),
    )
    rows = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    return [{key: value for key, value in row.items() if key != "id"} for row in rows]


def test_a_record_becomes_a_conversation_with_its_picture(store: ConversationStore, tmp_path: Path) -> None:
    path = written(tmp_path / "in", [record("<image>\nWhat?", "A cat.", "Sure?", "Yes.", image="red.png")])
    tally = imported(store, path)
    assert (tally.num_conversations, tally.num_answers, len(tally.pictures), tally.num_moved) == (1, 2, 1, 0)
    (summary,) = store.recent("ann")
    shown = store.load("ann", summary.id).shown
    assert [turn.text for turn in shown] == ["What?", "A cat.", "Sure?", "Yes."]
    assert [len(turn.images) for turn in shown] == [1, 0, 0, 0]
    assert store.images.path(shown[0].images[0].sha256).is_file()
    assert summary.tags == ("t",)


def test_what_was_imported_is_exported_in_the_same_order(store: ConversationStore, tmp_path: Path) -> None:
    rows = [record(f"Question {number}", "Answer") for number in range(7)]
    imported(store, written(tmp_path / "in", rows))
    assert exported(store, tmp_path / "out") == [{"conversations": row["conversations"]} for row in rows]


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(typed.filter(str.strip), typed.filter(str.strip)), min_size=1, max_size=2),
            st.sampled_from([None, "red", "blue"]),
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_that_is_imported_and_exported_is_the_same_rows(migrated: Path, talks: list) -> None:
    """Through the files, the library and the files again, whatever was typed."""
    from conversations.examples import Example
    from conversations.formats.row_files import RowFiles
    from conversations.messages import ImageRef, Message
    from tests.conversations.formats.items import NamedPictures

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        first, second = folder / "one", folder / "two"
        for one in (first, second):
            (one / "var").mkdir(parents=True)
            shutil.copyfile(migrated, one / "var" / "chats.db")
        store = open_store(first)
        refs = {colour: store.images.add(png(colour)) for colour in ("red", "blue")}
        source = folder / "source"
        (source / "images").mkdir(parents=True)
        files = RowFiles(source, LLAVA, NamedPictures())
        for pairs, colour in talks:
            texts = [text for pair in pairs for text in pair]
            content = () if colour is None else (ImageRef(refs[colour].sha256),)
            messages = [
                Message("user", (*(content if place == 0 else ()), text))
                if place % 2 == 0
                else Message("assistant", (text,))
                for place, text in enumerate(texts)
            ]
            files.add("train", Example("x", tuple(messages)))
        files.close()
        for ref in refs.values():
            shutil.copyfile(store.images.path(ref.sha256), source / "images" / f"{ref.sha256}.jpg")
        path = source / "train.json"
        try:
            if any("\0" in text for pairs, _ in talks for pair in pairs for text in pair):
                with pytest.raises(InvalidImport, match="NUL"):
                    imported(store, path)
                return
            imported(store, path)
            once = exported(store, folder / "out1")
            other = open_store(second)
            try:
                again = folder / "out1" / "train.json"
                import_file(other, "bob", again, PictureFolder(folder / "out1" / "images"), tag="t")
                assert exported(other, folder / "out2") == once
            finally:
                other.close()
        finally:
            store.close()
    expected = json.loads(json.dumps([[text for pair in pairs for text in pair] for pairs, _ in talks]))
    from conversations.escaping import restore_all

    values = [
        [
            restore_all(turn["value"].removeprefix("<image>\n") if "image" in row else turn["value"])
            for turn in row["conversations"]
        ]
        for row in once
    ]
    assert values == expected


def test_a_question_with_its_picture_behind_is_counted_as_moved(
    store: ConversationStore, tmp_path: Path
) -> None:
    tally = imported(store, written(tmp_path / "in", [record("What?\n<image>", "A cat.", image="red.png")]))
    assert tally.num_moved == 1
    assert exported(store, tmp_path / "out")[0]["conversations"][0]["value"] == "<image>\nWhat?"


def test_a_picture_that_is_none_ends_it_and_says_where_to_go_on(
    store: ConversationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    rows = [record(f"Q{number}", "A") for number in range(5)]
    rows[3] = record("<image>", "A", image="bad.png")
    path = written(tmp_path / "in", rows)
    bad = tmp_path / "in" / "images" / "bad.png"
    bad.write_bytes(b"GIF89a no picture")
    with pytest.raises(InvalidImport, match=r"record 4, image: bad\.png.*--first 3") as caught:
        imported(store, path)
    assert "The 2 records before number 3 were kept" in str(caught.value)
    assert len(store.recent("ann")) == 2
    bad.write_bytes(png("blue"))
    assert imported(store, path, first=3).num_conversations == 3
    assert len(store.recent("ann")) == 5


def test_a_picture_larger_than_the_store_s_limit_is_not_read(
    store: ConversationStore, tmp_path: Path
) -> None:
    path = written(tmp_path / "in", [record("<image>", "A", image="big.png")])
    with (tmp_path / "in" / "images" / "big.png").open("wb") as file:
        file.truncate(20_000_000_000)
    with pytest.raises(InvalidImport, match="has 20000000000 bytes; at most"):
        imported(store, path)


def test_a_stored_picture_keeps_its_bytes(store: ConversationStore, tmp_path: Path) -> None:
    """A JPEG would lose a little with each encoding, and become another picture to the split."""
    from PIL import Image

    noise = tmp_path / "noise.jpg"
    Image.effect_noise((64, 64), 80).convert("RGB").save(noise, "JPEG", quality=70)
    sha256 = store.images.add(noise.read_bytes()).sha256
    path = written(tmp_path / "in", [record("<image>", "A", image=f"{sha256}.jpg")])
    shutil.copyfile(store.images.path(sha256), tmp_path / "in" / "images" / f"{sha256}.jpg")
    assert imported(store, path).pictures == {sha256}
