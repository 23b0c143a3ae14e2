"""A folder is whole or not there, and nothing that somebody else put there is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.checkpoint_errors import NoRoom
from model.checkpoint_export.new_folder import ExportError, FolderTaken, new_folder


def a_checkpoint(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "old").write_text("old")
    return folder


def test_it_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    wanted = tmp_path / "deep" / "out"
    with new_folder(wanted) as folder:
        (folder / "config.json").write_text("{}")
        assert not wanted.exists()
    assert [path.name for path in wanted.iterdir()] == ["config.json"]
    assert list(wanted.parent.iterdir()) == [wanted]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_are_never_overwritten_unasked(tmp_path: Path) -> None:
    wanted = a_checkpoint(tmp_path / "out")
    with pytest.raises(FolderTaken, match="--overwrite"), new_folder(wanted):
        pytest.fail("nothing may be written")
    assert (wanted / "old").read_text() == "old"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as folder:
        (folder / "new").write_text("new")
    assert (tmp_path / "out" / "new").exists()


def test_overwriting_replaces_the_whole_checkpoint(tmp_path: Path) -> None:
    wanted = a_checkpoint(tmp_path / "out")
    with new_folder(wanted, overwrite=True) as folder:
        (folder / "new").write_text("new")
        assert (wanted / "old").exists()
    assert [path.name for path in wanted.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [wanted]


def test_overwriting_that_fails_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    wanted = a_checkpoint(tmp_path / "out")
    with pytest.raises(OSError, match="full"), new_folder(wanted, overwrite=True):
        raise OSError("the disk is full")
    assert (wanted / "old").read_text() == "old"


def test_only_a_checkpoint_is_ever_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("…")
    with pytest.raises(FolderTaken, match="no checkpoint"), new_folder(tmp_path / "thesis", overwrite=True):
        pytest.fail("nothing may be written")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(FolderTaken, match="no folder"), new_folder(tmp_path / "out", overwrite=True):
        pytest.fail("nothing may be written")
    with pytest.raises(ExportError), new_folder(tmp_path / "out" / "inside"):
        pytest.fail("nothing may be written")


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(NoRoom, match=r"GB free, but .* GB are needed"),
        new_folder(tmp_path / "a", num_bytes=10**18),
    ):
        pytest.fail("nothing may be written")
    assert list(tmp_path.iterdir()) == []
