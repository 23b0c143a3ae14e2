"""An export is whole or not there, counts what it left out, and has the same bytes every time."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from conversations.errors import DiskFull, UnwritableFolder
from conversations.examples import LoggedConversation
from conversations.export import FolderTaken, export
from conversations.formats import FORMATS
from conversations.formats.format import Options
from conversations.image_store import ImageStore
from conversations.manifest import REASONS, BrokenManifest, Manifest, Tally
from conversations.selection import Selection
from tests.conversations.logged import Talk, picture, talk

LLAVA = FORMATS["llava"]
COLOURS = ["red", "green", "blue", "yellow", "white", "black", "cyan", "magenta"]


@pytest.fixture
def images(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "store")


@pytest.fixture
def many(images: ImageStore) -> list[LoggedConversation]:
    """Sixteen conversations about eight pictures, and eight about none."""
    with_picture = [
        talk(f"c{number}", images=(picture(images, COLOURS[number % 8]),)) for number in range(16)
    ]
    return with_picture + [talk(f"t{number}") for number in range(8)]


def rows(folder: Path, side: str = "train") -> list[dict]:
    path = folder / f"{side}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_folder_with_rows_pictures_and_manifest(tmp_path: Path, images: ImageStore) -> None:
    red = picture(images)
    told = talk("c1", ("What is it?", "A cat."), ("Sure?", "Yes."), images=(red,))
    manifest = export([told], images, tmp_path / "out", LLAVA, Selection())
    assert rows(tmp_path / "out") == [
        {
            "id": "c1",
            "image": f"{red}.png",
            "conversations": [
                {"from": "human", "value": "<image>\nWhat is it?"},
                {"from": "gpt", "value": "A cat."},
                {"from": "human", "value": "Sure?"},
                {"from": "gpt", "value": "Yes."},
            ],
        }
    ]
    assert (tmp_path / "out" / "images" / f"{red}.png").read_bytes() == images.path(red).read_bytes()
    assert manifest.counts["rows"] == {"train": 1, "validation": 0, "test": 0}
    assert (manifest.counts["answers"], manifest.counts["pictures"]) == (2, 1)
    assert Manifest.from_json((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")) == manifest


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
def test_the_same_export_has_the_same_bytes(
    format: str, tmp_path: Path, images: ImageStore, many: list[LoggedConversation]
) -> None:
    told = Talk("pair")
    told.ask("Q"), told.answer("wrong", correction="right")
    selection = Selection(validation=0.3, test=0.2, seed=4)
    for name in ("one", "two"):
        export([*many, told.logged], images, tmp_path / name, format, selection)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(files(tmp_path / "one")) >= 2


def test_the_manifest_names_each_file_by_its_bytes(
    tmp_path: Path, images: ImageStore, many: list[LoggedConversation]
) -> None:
    import hashlib

    manifest = export(many, images, tmp_path / "out", LLAVA, Selection(test=0.5))
    for file in manifest.files:
        data = (tmp_path / "out" / file.name).read_bytes()
        assert (file.num_bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert file.num_rows == len(json.loads(data))
    assert sum(file.num_rows for file in manifest.files) == 24


def test_no_picture_is_on_two_sides_and_every_row_is_on_one(
    tmp_path: Path, images: ImageStore, many: list[LoggedConversation]
) -> None:
    manifest = export(many, images, tmp_path / "out", LLAVA, Selection(validation=0.3, test=0.3, seed=1))
    seen = {side: rows(tmp_path / "out", side) for side in ("train", "validation", "test")}
    assert {side: len(found) for side, found in seen.items()} == manifest.counts["rows"]
    assert all(seen.values()), "the seed should put something on every side"
    places = [{row["image"] for row in found if "image" in row} for found in seen.values()]
    assert sum(len(place) for place in places) == 8
    assert len(set.union(*places)) == 8
    assert sorted(row["id"] for found in seen.values() for row in found) == sorted(told.id for told in many)


def test_rows_stay_on_their_side_when_data_is_added(
    tmp_path: Path, images: ImageStore, many: list[LoggedConversation]
) -> None:
    selection = Selection(validation=0.3, test=0.3, seed=1)
    export(many[::2], images, tmp_path / "few", LLAVA, selection)
    export(many, images, tmp_path / "all", LLAVA, selection)
    for side in ("train", "validation", "test"):
        assert {row["id"] for row in rows(tmp_path / "few", side)} <= {
            row["id"] for row in rows(tmp_path / "all", side)
        }


def test_pictures_on_different_sides_leave_the_conversation_out(tmp_path: Path, images: ImageStore) -> None:
    selection = Selection(test=0.5, seed=1)
    shas = [picture(images, colour) for colour in COLOURS]
    test = [sha256 for sha256 in shas if selection.side(sha256) == "test"]
    train = [sha256 for sha256 in shas if selection.side(sha256) == "train"]
    told = [
        talk("both", images=(train[0], test[0])),
        talk("train", images=(train[0], train[1])),
        talk("test", images=(test[0], test[0])),
    ]
    options = Options(several_pictures=True)
    manifest = export(told, images, tmp_path / "out", LLAVA, selection, options=options)
    assert manifest.counts["left_out"] == {"pictures_on_different_sides": 1}
    assert [row["id"] for row in rows(tmp_path / "out", "test")] == ["test"]
    assert rows(tmp_path / "out")[0]["image"] == [f"{sha256}.png" for sha256 in train[:2]]


def test_everything_that_is_left_out_is_counted_by_its_reason(tmp_path: Path, images: ImageStore) -> None:
    red, blue = picture(images), picture(images, "blue")
    private = Talk("private", private=True)
    private.ask(), private.answer()
    cut = Talk("cut")
    cut.ask(), cut.answer(), cut.ask(), cut.answer(finish_reason="stopped")
    told = [
        private.logged,
        cut.logged,
        talk("system", system_prompt="Be brief."),
        talk("several", images=(red, blue)),
        talk("gone", images=("f" * 64,)),
        talk("rejected", review_state="rejected"),
        talk("kept", images=(red,)),
    ]
    manifest = export(told, images, tmp_path / "out", LLAVA, Selection())
    assert manifest.counts["left_out"] == {
        "picture_missing": 1,
        "private": 1,
        "rejected": 1,
        "several_pictures": 1,
        "system_prompt": 1,
    }
    assert manifest.counts["shortened"] == {"unfinished": 1}
    assert manifest.counts["missing_pictures"] == ["f" * 64]
    assert manifest.counts["conversations"] == 7
    assert [row["id"] for row in rows(tmp_path / "out")] == ["cut", "kept"]
    assert set(manifest.counts["left_out"]) <= set(REASONS)


def test_a_conversation_with_one_missing_picture_leaves_none_of_its_pictures_behind(
    tmp_path: Path, images: ImageStore
) -> None:
    red = picture(images)
    manifest = export(
        [talk("c", images=(red, "f" * 64))], images, tmp_path / "out", FORMATS["messages"], Selection()
    )
    assert list((tmp_path / "out" / "images").iterdir()) == []
    assert manifest.counts["pictures"] == 0


def test_masking_is_on_unless_turned_off(tmp_path: Path, images: ImageStore) -> None:
    told = Talk()
    told.ask("I am ann@example.org.", masked_text="I am [email].")
    told.answer("Hello.", system_prompt="Write to bob@example.org.")
    for name, mask in (("on", True), ("off", False)):
        selection = Selection(mask_personal_data=mask)
        export([told.logged], images, tmp_path / name, FORMATS["messages"], selection)
    on, off = ((tmp_path / name / "train.jsonl").read_text(encoding="utf-8") for name in ("on", "off"))
    assert "@" not in on and "[email]" in on
    assert "ann@example.org" in off and "bob@example.org" in off


def test_pictures_are_links_unless_copies_are_asked_for(tmp_path: Path, images: ImageStore) -> None:
    red = picture(images)
    told = [talk("c", images=(red,))]
    export(told, images, tmp_path / "links", LLAVA, Selection())
    export(told, images, tmp_path / "copies", LLAVA, Selection(), copy_pictures=True)
    assert os.path.samefile(tmp_path / "links" / "images" / f"{red}.png", images.path(red))
    assert not os.path.samefile(tmp_path / "copies" / "images" / f"{red}.png", images.path(red))


def test_nothing_that_is_there_is_written_over(tmp_path: Path, images: ImageStore) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("full", "file", "link"):
        with pytest.raises(FolderTaken, match=name):
            export([talk("c")], images, tmp_path / name, LLAVA, Selection())
    assert files(tmp_path / "full") == {"mine.txt": b"mine"}
    (tmp_path / "empty").mkdir()
    export([talk("c")], images, tmp_path / "empty", LLAVA, Selection())
    assert len(rows(tmp_path / "empty")) == 1


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull),
        (OSError(errno.EIO, "Input/output error"), UnwritableFolder),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_export_that_breaks_off_leaves_nothing_behind(
    fault: BaseException, raised: type, tmp_path: Path, images: ImageStore
) -> None:
    def breaking() -> Iterable[LoggedConversation]:
        yield talk("c", images=(picture(images),))
        raise fault

    before = files(tmp_path)
    with pytest.raises(raised):
        export(breaking(), images, tmp_path / "out", FORMATS["preference"], Selection())
    with pytest.raises(raised):
        export(breaking(), images, tmp_path / "out", LLAVA, Selection())
    picture(images)
    assert not [name for name in set(files(tmp_path)) - set(before) if not name.startswith("store/")]
    assert not list(tmp_path.glob("*out*")) and not list(tmp_path.glob(".*"))


def test_progress_counts_as_it_goes(tmp_path: Path, images: ImageStore) -> None:
    seen: list[tuple[int, int]] = []

    def watch(tally: Tally) -> None:
        seen.append((tally.num_conversations, tally.num_rows.total()))

    told = (talk(f"c{number}", finish_reason="failed" if number % 2 else "stop") for number in range(1200))
    export(told, images, tmp_path / "out", LLAVA, Selection(), on_progress=watch)
    assert seen == [(500, 250), (1000, 500), (1200, 600)]


def test_an_export_of_nothing_is_a_manifest(tmp_path: Path, images: ImageStore) -> None:
    for format in FORMATS.values():
        manifest = export([], images, tmp_path / format.name, format, Selection())
        assert manifest.counts["rows"] == {"train": 0, "validation": 0, "test": 0}
        assert [file for file in manifest.files if file.name != "dataset_info.json"] == []


@pytest.mark.parametrize("text", ["", "{}", "[]", "[" * 100_000, '{"schema_version": 99}'])
def test_a_file_that_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(BrokenManifest):
        Manifest.from_json(text)
