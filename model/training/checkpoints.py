"""Checkpoints as folders: whole only with their mark, removed mark first, and each knows to which run it belongs.

`run.json` in a checkpoint holds the config and a digest of the samples. What decides where in which order the run
stands must be the same to go on; rates, epochs and what is told may have been changed by hand.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.training.config import TrainingConfig
from model.training.errors import CannotResume
from model.training.run_folder import COMPLETE
from model.training.samples import Sample

ABOUT = "run.json"
FIXED = (
    "recipe",
    "model",
    "template",
    "batch_size",
    "max_tokens",
    "lora_rank",
    "optimizer",
    "held_out_share",
    "seed",
)
"""Fields that a run keeps to its end."""


def digest_of(samples: Sequence[Sample]) -> str:
    """The same for the same samples in the same order."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(len(sample.input_ids).to_bytes(4))
        digest.update(sample.input_ids.tobytes() + sample.trained.tobytes())
        digest.update(repr(sample.pictures).encode())
    return digest.hexdigest()


def finish(folder: Path, config: TrainingConfig, samples: str, grouped: int) -> None:
    """Say what it is, see everything to the disk, then mark it whole. `grouped`: samples that the order keeps together.
    Raises OSError."""
    about = json.dumps({"config": asdict(config), "samples": samples, "grouped": grouped})
    (folder / ABOUT).write_text(about, encoding="utf-8", errors="backslashreplace")
    for file in folder.iterdir():
        if file.is_file():
            _to_disk(file)
    (folder / COMPLETE).touch()
    _to_disk(folder)


def remove(folder: Path) -> None:
    """Its mark first: one that is half removed is not whole."""
    (folder / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def keep_newest(run: Path, number: int) -> None:
    """Remove older ones, and those that never became whole."""
    folders = sorted(
        (folder for folder in run.glob("checkpoint-*") if _step(folder) is not None),
        key=lambda each: _step(each) or 0,
    )
    whole = [folder for folder in folders if (folder / COMPLETE).is_file()]
    for folder in folders:
        if folder not in whole[-number:]:
            remove(folder)


def check_belongs(folder: Path, config: TrainingConfig, samples: str) -> int | None:
    """How many samples its order keeps together, None where it does not say. Raises CannotResume, which names what was
    changed since the checkpoint."""
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None  # of an older program
    except (OSError, ValueError) as error:
        raise CannotResume(
            f"{folder / ABOUT} cannot be read ({error}); remove {folder.name} to go on before it, or start a new run."
        ) from error
    now = json.loads(json.dumps(asdict(config)))
    for name in FIXED:
        before = about["config"].get(name, now[name])
        if before != now[name]:
            raise CannotResume(
                f"{folder.name} was made with {name} {before!r}, and config.json says {now[name]!r} now; put "
                f"{before!r} back, or start a new run."
            )
    if about["samples"] != samples:
        raise CannotResume(
            f"The data is not what it was when {folder.name} was made, so nobody can say what is left of it to learn; "
            "put the old files back, or start a new run."
        )
    return about.get("grouped")


def _step(folder: Path) -> int | None:
    number = folder.name.removeprefix("checkpoint-")
    return int(number) if number.isdecimal() and folder.is_dir() else None


def _to_disk(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
