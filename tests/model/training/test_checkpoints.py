"""A checkpoint knows what belongs to it, and a run begins only where all of it is still there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers.trainer_callback import TrainerState

from model.training import checkpoints
from model.training.base_files import fingerprint
from model.training.config import DataSource, TrainingConfig
from model.training.errors import CannotResume
from model.training.run_folder import COMPLETE, RunFolder

CONFIG = TrainingConfig("lora", "base", (DataSource("train.json"),))


def write(run: Path, step: int) -> Path:
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in ("trained.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (folder / name).write_bytes(b"numbers")
    state = TrainerState()
    state.global_step = step
    state.save_to_json(str(folder / checkpoints.STATE))
    checkpoints.finish(folder, CONFIG, "samples", 8, "base")
    return folder


def test_a_run_goes_on_at_its_newest(tmp_path: Path) -> None:
    assert (
        checkpoints.beginning([]) == checkpoints.Beginning() and checkpoints.beginning([]).words == "Training"
    )
    whole = [write(tmp_path, step) for step in (3, 12)]
    begins = checkpoints.beginning(RunFolder(tmp_path).checkpoints())
    assert (begins.folder, begins.damaged, begins.words) == (whole[1], {}, "Going on at step 12")
    assert checkpoints.check_belongs(whole[1], CONFIG, "samples", "base") == 8


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("optimizer.pt", None, "checkpoint-12 lacks optimizer.pt"),
        ("rng_state.pth", None, "checkpoint-12 lacks rng_state.pth"),
        ("rng_state.pth", "num", "checkpoint-12 cannot be read: rng_state.pth has 3 bytes, and had 7"),
        ("run.json", None, "checkpoint-12 lacks run.json"),
        ("run.json", "[]", "checkpoint-12 cannot be read: run.json has 2 bytes"),
        (
            "trainer_state.json",
            '{"global_step": 1',
            "checkpoint-12 cannot be read: trainer_state.json has 17 bytes",
        ),
        (COMPLETE, "{", "checkpoint-12 cannot be read (JSONDecodeError"),
        (COMPLETE, "[]", "checkpoint-12 cannot be read (ValueError: complete names no files)"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_one_that_lost_something_is_passed_over(
    tmp_path: Path, name: str, content: str | None, words: str, before: bool
) -> None:
    earlier = write(tmp_path, 3) if before else None
    folder = write(tmp_path, 12)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    if before:
        begins = checkpoints.beginning(RunFolder(tmp_path).checkpoints())
        assert begins.folder == earlier and begins.damaged[folder].startswith(words)
        assert begins.words.startswith(f"Going on at step 3 ({words}")
        checkpoints.unmark(folder)
        assert RunFolder(tmp_path).checkpoints() == [earlier]
    else:
        with pytest.raises(CannotResume, match="no whole checkpoint before it; put the file back") as caught:
            checkpoints.beginning(RunFolder(tmp_path).checkpoints())
        assert str(caught.value).startswith(words) and str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("run.json", "[]", "ValueError: run.json does not say of which run it is"),
        ("run.json", '{"config": {}}', "ValueError: run.json does not say"), ("run.json", "{", "JSONDecodeError"),
        ("trainer_state.json", '{"global_st', "JSONDecodeError"), ("trainer_state.json", "[]", "TypeError"),
        ("trainer_state.json", '{"colour": 1}', "TypeError"),
        ("trainer_state.json", '{"global_step": 5}', "trainer_state.json is of another step"),
        ("rng_state.pth", None, "checkpoint-12 lacks rng_state.pth"),
    ],
)  # fmt: skip
def test_one_of_an_older_program_is_looked_through(
    tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    """Its mark says nothing of sizes."""
    folder = write(tmp_path, 12)
    (folder / COMPLETE).write_text("")
    assert checkpoints.fault(folder) == ""
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    assert words in checkpoints.fault(folder)


def test_another_base_at_the_same_place_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path, 12)
    with pytest.raises(CannotResume, match="The base base is not what it was when checkpoint-12 was made"):
        checkpoints.check_belongs(folder, CONFIG, "samples", "another")
    about = json.loads((folder / "run.json").read_text())
    del about["base"]  # as an older program wrote it
    (folder / "run.json").write_text(json.dumps(about))
    assert checkpoints.check_belongs(folder, CONFIG, "samples", "another") == 8


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_a_base_is_known_by_its_numbers_wherever_it_lies_and_whenever_it_was_copied(
    tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    weights = {f"layers.{number}": torch.rand(300) for number in range(5)}
    save = save_file if kind == "safetensors" else torch.save
    save(weights, folder / f"model.{kind}")
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied)
    os.utime(copied / f"model.{kind}", (1, 1))
    assert fingerprint(str(copied)) == fingerprint(str(folder)) != ""
    weights["layers.3"] = torch.rand(300)
    save(weights, copied / f"model.{kind}")
    assert (copied / f"model.{kind}").stat().st_size == (folder / f"model.{kind}").stat().st_size
    assert fingerprint(str(copied)) != fingerprint(str(folder))


def test_a_projector_among_much_else_is_seen(tmp_path: Path) -> None:
    """A few numbers in the middle of a large file."""
    weights = {"before": torch.zeros(1_000_000), "projector": torch.ones(16), "then": torch.zeros(1_000_000)}
    save_file(weights, tmp_path / "model.safetensors")
    before = fingerprint(str(tmp_path))
    save_file(weights | {"projector": -weights["projector"]}, tmp_path / "model.safetensors")
    assert fingerprint(str(tmp_path)) != before


@pytest.mark.parametrize("name", ["model.safetensors", "old.bin"])
@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs", b"\x05" + b"\0" * 7 + b"[1,2]", b"PK\5\6" + b"\xff" * 18]
)
def test_a_file_that_only_bears_the_name_ends_nothing(tmp_path: Path, name: str, content: bytes) -> None:
    """Beside the weights that are read, as a pointer of git-lfs."""
    assert fingerprint(str(tmp_path)) == ""
    (tmp_path / name).write_bytes(content)
    found = fingerprint(str(tmp_path))
    (tmp_path / name).write_bytes(content + b"2")
    assert "" != found != fingerprint(str(tmp_path))
