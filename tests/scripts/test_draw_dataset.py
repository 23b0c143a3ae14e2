"""The drawn data set: what readers of the format take, what the shipped model was trained on, equal for equal flags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from conversations.formats.contents import canonical
from conversations.formats.llava import example_of
from conversations.messages import ImageRef
from conversations.training_json import PictureFolder, faults, records_of
from scripts import draw_dataset
from scripts.demo_world import data_set
from scripts.demo_world.drawn_dataset import ALIGN_SEEDS_FROM, TUNE_SEEDS_FROM
from scripts.demo_world.examination import SEEDS_FROM as EXAMINATION_SEEDS
from scripts.demo_world.llava_stages import REHEARSAL_SEEDS_FROM
from scripts.demo_world.picture import draw
from scripts.demo_world.samples import Sample


def drawn(folder: Path, *flags: str) -> list[dict]:
    assert draw_dataset.main(["--out", str(folder), "--picture-size", "60", *flags]) == 0
    return json.loads((folder / "train.json").read_text(encoding="utf-8"))


def read(row: dict) -> list[tuple[str, tuple[str, ...]]]:
    """Speaker and content of each turn, pictures as a mark."""
    example = example_of(row, lambda name: ImageRef("a" * 64))
    return [(message.role, marked(message.content)) for message in example.messages]


def marked(content: tuple[str | ImageRef, ...]) -> tuple[str, ...]:
    return tuple("[picture]" if isinstance(part, ImageRef) else part for part in content)


def said(sample: Sample) -> list[tuple[str, tuple[str, ...]]]:
    return [(message.role, marked(canonical(message.content))) for message in sample.messages]


def test_the_reader_of_training_json_takes_all_of_it(tmp_path: Path) -> None:
    rows = drawn(tmp_path / "set", "--samples", "45")
    pictures = PictureFolder(tmp_path / "set" / "images")
    assert faults(tmp_path / "set" / "train.json", pictures) == (45, [])
    assert len(list(records_of(tmp_path / "set" / "train.json", pictures.ref))) == 45
    assert sum("image" not in row for row in rows) >= 4  # small talk, and scenes told in words
    assert any(isinstance(row.get("image"), list) for row in rows)  # a second picture in the conversation


def test_a_record_says_what_its_sample_says_and_shows_its_scenes(tmp_path: Path) -> None:
    rows = drawn(tmp_path / "set", "--samples", "30")
    samples = list(data_set.conversations(30))
    assert [read(row) for row in rows] == [said(sample) for sample in samples]
    for row, sample in zip(rows, samples, strict=True):
        names = row.get("image", [])
        for name, scene in zip([names] if isinstance(names, str) else names, sample.scenes, strict=True):
            with Image.open(tmp_path / "set" / "images" / name) as picture:
                assert picture.tobytes() == draw(scene, 60).tobytes()


def test_equal_flags_draw_equal_data_and_another_first_draws_other_data(tmp_path: Path) -> None:
    one, same = (drawn(tmp_path / name, "--samples", "6") for name in ("one", "same"))
    assert one == same
    later = drawn(tmp_path / "later", "--samples", "4", "--first", "2")
    assert [row["conversations"] for row in later] == [row["conversations"] for row in one[2:]]


def test_captions_are_a_picture_and_one_sentence_each(tmp_path: Path) -> None:
    rows = drawn(tmp_path / "set", "--samples", "5", "--kind", "captions")
    assert [[turn["from"] for turn in row["conversations"]] for row in rows] == [["human", "gpt"]] * 5
    assert {row["conversations"][0]["value"] for row in rows} == {"<image>"}


def test_what_is_mixed_in_is_neither_trained_on_before_nor_examined() -> None:
    most = 1_000_000
    taken = (ALIGN_SEEDS_FROM, TUNE_SEEDS_FROM, REHEARSAL_SEEDS_FROM, EXAMINATION_SEEDS)
    for seeds_from in taken:
        assert not data_set.SEEDS_FROM <= seeds_from < data_set.SEEDS_FROM + most
        assert not seeds_from <= data_set.SEEDS_FROM < seeds_from + 90_000_000


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    assert draw_dataset.main(["--out", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("flags", [["--samples", "0"], ["--first", "-1"], ["--kind", "songs"]])
def test_a_flag_that_cannot_be_meant_is_refused_by_name(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        draw_dataset.main(["--out", str(tmp_path / "set"), *flags])
    assert flags[0] in capsys.readouterr().err


def test_a_sample_with_fewer_pictures_than_places_is_refused() -> None:
    sample = next(sample for sample in data_set.conversations(10) if sample.scenes)
    with pytest.raises(ValueError, match="places for 0 pictures"):
        data_set.row_of("x", sample, [])
