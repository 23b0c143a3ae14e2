"""Checkpoints as folders: whole only with their mark, removed mark first, and each knows to which run it belongs.

`run.json` in a checkpoint holds the config, a digest of the samples and one of the base's weights. What decides where
in which order the run stands must be the same to go on; rates, epochs and what is told may have been changed by hand.
The mark names the files that were there with their sizes: where one is gone or cut, the run goes on before that
checkpoint, and not from it as if nothing were.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transformers.trainer_callback import TrainerState

from model.training.config import TrainingConfig
from model.training.errors import CannotResume
from model.training.run_folder import COMPLETE
from model.training.samples import Sample

ABOUT, STATE = "run.json", "trainer_state.json"
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


def finish(folder: Path, config: TrainingConfig, samples: str, grouped: int, base: str = "") -> None:
    """Say what it is, see everything to the disk, then mark it whole. `grouped`: samples that the order keeps together;
    `base`: the fingerprint of its weights. Raises OSError."""
    about = json.dumps({"config": asdict(config), "samples": samples, "grouped": grouped, "base": base})
    (folder / ABOUT).write_text(about, encoding="utf-8", errors="backslashreplace")
    files = [file for file in folder.iterdir() if file.is_file()]
    for file in files:
        _to_disk(file)
    mark = folder / f".{COMPLETE}"
    mark.write_text(json.dumps({"files": {file.name: file.stat().st_size for file in files}}))
    _to_disk(mark)
    mark.replace(folder / COMPLETE)
    _to_disk(folder)


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a run goes on; `folder` None: at its start. `damaged` are newer checkpoints that were whole once, and what
    is wrong with each."""

    folder: Path | None = None
    damaged: Mapping[Path, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Of the run's status."""
        if self.folder is None:
            return "Training"
        faults = "".join(f" ({why})" for why in list(self.damaged.values())[:1])
        return f"Going on at step {_step(self.folder)}{faults}"


def beginning(whole: Sequence[Path]) -> Beginning:
    """`whole`: those that have their mark, oldest first. Raises CannotResume where none of them is whole any more."""
    damaged: dict[Path, str] = {}
    for folder in reversed(whole):
        if not (why := fault(folder)):
            return Beginning(folder, damaged)
        damaged[folder] = why
    for folder, why in damaged.items():
        raise CannotResume(
            f"{why}, and there is no whole checkpoint before it; put the file back, or remove the folder {folder} to "
            "begin again."
        )
    return Beginning()


def unmark(folder: Path) -> None:
    """It is no whole one any more, and goes when the next is saved."""
    (folder / COMPLETE).unlink(missing_ok=True)


def fault(folder: Path) -> str:
    """What is missing or cut, in words; "" where nothing is."""
    try:
        for name, size in _sizes(folder).items():
            if not (folder / name).is_file():
                return f"{folder.name} lacks {name}"
            if (now := (folder / name).stat().st_size) != size:
                return f"{folder.name} cannot be read: {name} has {now} bytes, and had {size}"
        if (folder / ABOUT).is_file():
            _about(folder)
        if (folder / STATE).is_file() and TrainerState.load_from_json(folder / STATE).global_step != _step(
            folder
        ):
            return f"{folder.name} cannot be read: {STATE} is of another step"
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return f"{folder.name} cannot be read ({type(error).__name__}: {error})"
    if not any(folder.glob("rng_state*.pth")):
        return f"{folder.name} lacks rng_state.pth"
    return ""


def _sizes(folder: Path) -> dict[str, int]:
    """Of the files that were there when it was whole; none where an older program made it. Raises ValueError."""
    mark = (folder / COMPLETE).read_text(encoding="utf-8")
    if not mark:
        return {}
    told = json.loads(mark)
    if not isinstance(told, dict) or not isinstance(told.get("files"), dict):
        raise ValueError(f"{COMPLETE} names no files")
    return {str(name): int(size) for name, size in told["files"].items()}


def _about(folder: Path) -> dict[str, Any]:
    """Raises OSError, ValueError."""
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    if not isinstance(about, dict) or not isinstance(about.get("config"), dict) or "samples" not in about:
        raise ValueError(f"{ABOUT} does not say of which run it is")
    return about


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


def check_belongs(folder: Path, config: TrainingConfig, samples: str, base: str = "") -> int | None:
    """How many samples its order keeps together, None where it does not say. Raises CannotResume, which names what was
    changed since the checkpoint."""
    try:
        about = _about(folder)
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
    if base and about.get("base", base) != base:
        raise CannotResume(
            f"The base {config.model} is not what it was when {folder.name} was made: other weights lie there now, and "
            "what was learned belongs to the old ones; put those back, or start a new run."
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
