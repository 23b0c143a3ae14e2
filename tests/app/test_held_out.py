"""The held-out answers of a run: what is counted, and that no picture but the run's own is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.held_out import HeldOut, Shares, data_url, find, picture_bytes, picture_file, read_held_out, shares
from conversations.errors import NotFound, PictureMissing, PictureRefused
from model.training.run_folder import RunFolder
from tests.app.finished_run import JOB, FinishedJob, finish


@pytest.fixture
def job(tmp_path: Path) -> FinishedJob:
    return finish(tmp_path / "runs", JOB, "Colours", tmp_path / "base")


def write(folder: RunFolder, *rows: object) -> None:
    folder.answers_file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_shares_are_counted_as_the_trainer_counts_them(job: FinishedJob) -> None:
    assert shares(read_held_out(job.folder)) == Shares(4, 1, 3)
    write(
        job.folder,
        {"question": "q", "right": "A b.", "before": " A b.\n"},
        {"question": "q", "right": "A b."},
    )
    assert shares(read_held_out(job.folder)) == Shares(2, 1, None), "before it has ended"
    write(job.folder, {"question": "q", "right": "A b.", "before": "a b.", "after": "A  b."})
    assert shares(read_held_out(job.folder)) == Shares(1, 0, 0), "the very words"
    write(job.folder)
    assert shares(read_held_out(job.folder)) == Shares(0, None, None)


def test_rows_that_are_none_are_left_out_and_the_others_keep_their_numbers(job: FinishedJob) -> None:
    good = {"question": "q", "right": "r", "pictures": ["a.png", 7], "earlier": "nonsense"}
    write(job.folder, {"question": 3, "right": "r"}, good, {})
    (row,) = read_held_out(job.folder)
    assert (row.number, row.pictures, row.earlier) == (1, ("a.png",), ())
    assert find(job.folder, 1) == row
    for number in (0, 2, -1):
        with pytest.raises(NotFound):
            find(job.folder, number)


def place(job: FinishedJob, picture: str) -> Path:
    row = HeldOut(0, "q", "r", None, None, (picture,))
    return picture_file(row, 0, job.config, job.folder.path)  # type: ignore[arg-type]


def test_pictures_are_found_below_the_folders_of_the_run_only(job: FinishedJob, tmp_path: Path) -> None:
    inside = job.folder.path / "data" / "images" / "1.png"
    assert place(job, str(inside)) == place(job, "data/images/1.png") == inside
    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4)).save(secret)
    (job.folder.path / "data" / "link.png").symlink_to(secret)
    for wanted in (
        str(secret),
        "data/../../../secret.png",
        "data/link.png",
        "data/images/none.png",
        "/etc/passwd",
    ):
        with pytest.raises(PictureMissing):
            place(job, wanted)
    with pytest.raises(NotFound):
        picture_file(HeldOut(0, "q", "r", None, None), 0, job.config, job.folder.path)  # type: ignore[arg-type]


def test_what_is_sent_is_small_upright_and_without_metadata(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.new("RGB", (4000, 2000), "red").save(file, exif=exif)
    data, media_type = picture_bytes(file, 320)
    assert media_type == "image/jpeg"
    (tmp_path / "sent").write_bytes(data)
    with Image.open(tmp_path / "sent") as sent:
        assert sent.size == (160, 320) and not sent.getexif()
    assert data_url(file).startswith("data:image/jpeg;base64,")
    file.write_text("no picture")
    with pytest.raises(PictureRefused):
        picture_bytes(file, 320)
    with pytest.raises(PictureMissing):
        picture_bytes(tmp_path / "none.png", 320)


@given(st.text())
def test_an_answer_is_the_same_as_itself_with_space_around(text: str) -> None:
    assert HeldOut(0, "q", text, f" {text}\n", None).was_right
