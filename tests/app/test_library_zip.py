"""Zips out and in: the same bytes, and nothing outside the folder, whatever a zip says of itself."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from random import Random

import pytest

from app.library_zip import unpack, zip_pieces
from conversations.errors import InvalidImport


def packed(path: Path, *files: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files:
            made.writestr(name, data)
    return path


def test_a_folder_comes_out_of_its_zip_as_it_went_in(tmp_path: Path) -> None:
    folder = tmp_path / "20260101-000000-llava"
    (folder / "images").mkdir(parents=True)
    (folder / "train.json").write_bytes(b"[]" * 700_000)
    (folder / "images" / "a.png").write_bytes(bytes(range(256)) * 9000)
    (folder / "link").symlink_to("/etc/hostname")
    pieces = list(zip_pieces(folder))
    assert len(pieces) > 3 and max(map(len, pieces)) < 3_000_000
    (tmp_path / "made.zip").write_bytes(b"".join(pieces))
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as made:
        assert made.testzip() is None and len(made.namelist()) == 2
    unpack(tmp_path / "made.zip", tmp_path / "out", 10_000_000)
    for name in ("train.json", "images/a.png"):
        assert (tmp_path / "out" / folder.name / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "../x.json",
        "a/../../x.json",
        "/etc/x.json",
        "..\\x.json",
        "C:/x.json",
        "C:\\x.json",
        f"{'x' * 300}.json",
    ],
)
def test_a_name_that_leads_elsewhere_is_named_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    hostile = packed(tmp_path / "hostile.zip", (name, b"[]"))
    (tmp_path / "in").mkdir()
    with pytest.raises(InvalidImport) as raised:
        unpack(hostile, tmp_path / "in", 1000)
    assert name[:20].replace("\\", "\\\\") in str(raised.value)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["hostile.zip"]


def test_a_small_zip_that_holds_a_lot_is_stopped_by_what_comes_out_of_it(tmp_path: Path) -> None:
    bomb = packed(tmp_path / "bomb.zip", ("zeros.json", b"\0" * 20_000_000))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(InvalidImport, match="more than 5 MB"):
        unpack(bomb, tmp_path / "in", 5_000_000)
    assert sum(path.stat().st_size for path in (tmp_path / "in").rglob("*") if path.is_file()) <= 5_000_000


@pytest.mark.parametrize("cut", [30, 200, 2000])
def test_a_broken_zip_is_an_import_error(tmp_path: Path, cut: int) -> None:
    whole = packed(tmp_path / "a.zip", ("a.json", Random(0).randbytes(4000))).read_bytes()
    (tmp_path / "b.zip").write_bytes(whole[:cut] + b"\xff" * 40 + whole[cut + 40 :])
    with pytest.raises(InvalidImport):
        unpack(tmp_path / "b.zip", tmp_path / "in", 100_000)


def test_a_file_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning):
        twice = packed(tmp_path / "a.zip", ("a.json", b"[]"), ("a.json", b"{}"))
    with pytest.raises(InvalidImport, match="twice"):
        unpack(twice, tmp_path / "in", 1000)
