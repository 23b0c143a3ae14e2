"""What can be trained on: a selection, exports, data sets and typed files; counted, named in a config, written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from app.library_exports import LibraryExports
from app.library_request import LibraryRequest
from app.training_sources import SELECTION_FILE, Choice, TrainingSources, UnusableSource
from conversations.errors import InvalidImport, LogError, NotFound
from conversations.filters import Filters
from conversations.selection import Selection
from conversations.store import ConversationStore
from conversations.training_json import PictureFolder, records_of
from model.training.config import DataSource
from tests.app.library_log import ROOT_USER, png
from tests.app.training_page import corrected

CORRECTED = Choice("library", Selection(Filters(corrected=True)))


@pytest.fixture
def sources(store: ConversationStore, tmp_path: Path) -> TrainingSources:
    return TrainingSources(store, LibraryExports(store, tmp_path / "exports"), tmp_path)


def data_set(folder: Path, *, pictures: str = "", records: int = 3) -> Path:
    """LLaVA's JSON with a picture a record; the pictures in `pictures` below the folder."""
    (folder / pictures).mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(records):
        (folder / pictures / f"{number}.png").write_bytes(png("red"))
        turns = [{"from": "human", "value": "<image>\nHm?"}, {"from": "gpt", "value": "Red."}]
        rows.append({"id": str(number), "image": f"{number}.png", "conversations": turns})
    (folder / "train.json").write_text(json.dumps(rows))
    return folder / "train.json"


def test_a_selection_is_counted_and_becomes_files_that_the_trainer_reads(
    sources: TrainingSources, store: ConversationStore, tmp_path: Path
) -> None:
    corrected(store, 3)
    assert sources.counted(CORRECTED).words == "3 answers in 3 examples with 3 pictures"
    assert sources.counted(Choice("library", Selection())).num_records == 4
    assert sources.source(CORRECTED) == DataSource(SELECTION_FILE)
    write = sources.writer(ROOT_USER, [CORRECTED])
    assert write is not None
    (tmp_path / "run" / "data").mkdir(parents=True)
    (source,) = write(tmp_path / "run" / "data")
    assert source.file == str(tmp_path / "run" / "data" / "train.json")
    folder = PictureFolder(Path(source.pictures))
    answers = [example.messages[-1].text for _, example in records_of(Path(source.file), folder.ref)]
    assert sorted(answers) == ["It is blue.", "It is green.", "It is red."]
    assert store.curation.trail()[0].actor == ROOT_USER and store.curation.trail()[0].kind == "export"


def test_what_is_only_looked_through_is_no_export(
    sources: TrainingSources, store: ConversationStore, tmp_path: Path
) -> None:
    corrected(store, 3)
    write = sources.writer(None, [CORRECTED])
    assert write is not None and write(tmp_path / "data")
    assert "export" not in {action.kind for action in store.curation.trail()}


def test_a_selection_that_holds_nothing_is_refused_when_it_is_written(
    sources: TrainingSources, store: ConversationStore, tmp_path: Path
) -> None:
    empty = Choice("library", Selection(Filters(text="zebra")))
    assert sources.counted(empty).num_records == 0
    write = sources.writer(ROOT_USER, [empty])
    with pytest.raises(UnusableSource, match="widen its filters"):
        assert write is not None
        write(tmp_path / "data")


def test_exports_and_data_sets_are_listed_and_found(
    sources: TrainingSources, store: ConversationStore, tmp_path: Path
) -> None:
    corrected(store, 2)
    exports = LibraryExports(store, tmp_path / "exports")
    for format in ("messages", "llava"):
        exports.start(LibraryRequest({"format": format, "selection": {}}).order(), ROOT_USER)
        while exports.job.state.phase == "running":
            pass
    data_set(tmp_path / "datasets" / "old world", pictures="images")
    data_set(tmp_path / "datasets" / ".hidden")
    (tmp_path / "datasets" / "empty").mkdir()
    export, world = sources.listed()
    assert (
        export.value.startswith("export:")
        and export.value.endswith("-llava")
        and "3 examples" in export.words
    )
    assert (world.value, world.words) == ("set:old world", "Data set old world")
    assert sources.counted(Choice("set", name=export.value)).num_records == 3
    folder = tmp_path / "datasets" / "old world"
    found = sources.source(Choice("set", name=world.value, share=0.25))
    assert found == DataSource(str(folder / "train.json"), str(folder / "images"), 0.25)
    assert sources.writer(ROOT_USER, [Choice("set", name=world.value)]) is None, "it is there already"


@pytest.mark.parametrize(
    "name", ["set:../x", "set:..", "set:", "export:../../etc", "export:", "old world", "set:.hidden"]
)
def test_only_what_is_listed_is_found(sources: TrainingSources, tmp_path: Path, name: str) -> None:
    data_set(tmp_path / "x")
    data_set(tmp_path / "datasets" / ".hidden")
    with pytest.raises(NotFound):
        sources.source(Choice("set", name=name))


def test_a_typed_file_has_its_pictures_beside_it_or_in_images_or_where_it_is_said(
    sources: TrainingSources, tmp_path: Path
) -> None:
    beside, inside = data_set(tmp_path / "a"), data_set(tmp_path / "b", pictures="images")
    (tmp_path / "a" / "images").mkdir()
    assert sources.source(Choice("file", name=str(beside))).pictures == str(tmp_path / "a")
    assert sources.source(Choice("file", name=str(inside.parent))) == DataSource(
        str(inside), str(tmp_path / "b" / "images")
    )
    said = Choice("file", name=str(inside), pictures=str(tmp_path / "a"))
    assert sources.source(said).pictures == str(tmp_path / "a")
    assert sources.counted(said).words == "3 examples"
    data_set(tmp_path / "a", records=5)
    assert sources.counted(Choice("file", name=str(beside))).num_records == 5, "it is another file now"


def test_what_cannot_be_read_is_told_with_the_remedy(sources: TrainingSources, tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("a poem")
    (tmp_path / "broken.json").write_text('[{"id": "1",')
    (tmp_path / "binary.json").write_bytes(b"[\xff\xfe]")
    for typed, words in {
        "": "Type the path",
        str(tmp_path / "gone.json"): "There is no file",
        str(tmp_path): "There is no file",
        str(tmp_path / "text.json"): "is no JSON",
        str(tmp_path / "broken.json"): "record 1",
        str(tmp_path / "binary.json"): "UTF-8",
        "a\0b": "cannot be shown",
        "~nobody-of-this-name/x": "cannot be looked for",
        "x" * 5000: "cannot be read",
    }.items():
        with pytest.raises(LogError, match=words):
            sources.counted(Choice("file", name=typed))
    with pytest.raises(UnusableSource, match="There is no folder"):
        sources.source(Choice("file", name=str(data_set(tmp_path / "a")), pictures="/nowhere"))
    with pytest.raises(InvalidImport):
        sources.counted(Choice("file", name=str(tmp_path / "broken.json")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_another_user_is_told_so(sources: TrainingSources, tmp_path: Path) -> None:
    file = data_set(tmp_path / "a")
    file.chmod(0)
    with pytest.raises(UnusableSource, match="let this program's user read it"):
        sources.source(Choice("file", name=str(file)))
