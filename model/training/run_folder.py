"""The folder of a run: all that its process and the page know of each other.

config.json      what is trained (TrainingConfig); written once, before the process starts
check.json       what `--check` found in the data (model/training/data_check.py)
broken.json      pictures that were missing or broken when it began: the path and what is wrong with it
status.json      how it goes (RunStatus); replaced whole
metrics.jsonl    a line a logged step: step, epoch, loss, learning_rate, tokens_per_second, held_out_loss
answers.jsonl    held-out questions with the right answer, and the model's before and after
log.txt          what the process printed
checkpoint-N/    where it can go on; whole only with the file `complete`
result/          the adapter or the checkpoint that came out; appears whole
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.training.config import InvalidConfig, TrainingConfig
from model.training.status import RunStatus

COMPLETE = "complete"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a full quota, a file that is not allowed to grow."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths, and reading and writing of the small files; a reader never sees half a file."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def status_file(self) -> Path:
        return self.path / "status.json"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def broken_file(self) -> Path:
        return self.path / "broken.json"

    @property
    def answers_file(self) -> Path:
        return self.path / "answers.jsonl"

    @property
    def check_file(self) -> Path:
        return self.path / "check.json"

    @property
    def log_file(self) -> Path:
        return self.path / "log.txt"

    @property
    def result(self) -> Path:
        return self.path / "result"

    def write_config(self, config: TrainingConfig) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.config_file, config.to_json())

    def config(self) -> TrainingConfig:
        """Raises InvalidConfig, OSError."""
        try:
            return TrainingConfig.from_json(self.config_file.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidConfig(f"{self.config_file} is no text in UTF-8: {error}.") from error

    def write_status(self, status: RunStatus) -> None:
        """Where the disk is full, over the old one, which needs no new room. Raises OSError."""
        text = status.changed(updated_at=time.time()).to_json()
        try:
            write_whole(self.status_file, text)
        except OSError as error:
            if error.errno not in NO_ROOM or not self.status_file.exists():
                raise
            with self.status_file.open("r+b", buffering=0) as old:
                old.write(text.encode(errors="backslashreplace"))
                old.truncate()

    def status(self) -> RunStatus | None:
        """None where there is none yet, or none that can be read."""
        try:
            return RunStatus.from_json(self.status_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def status_fault(self) -> str:
        """Why there is a status that cannot be read, in a sentence; "" where it can, or where there is none."""
        try:
            RunStatus.from_json(self.status_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            return f"{self.status_file} cannot be read ({str(error) or type(error).__name__})."
        return ""

    def add_metrics(self, values: Mapping[str, Any]) -> None:
        with self.metrics_file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(values) + "\n")

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The logged steps in order; a step that was taken again after a resume counts as it was taken last."""
        found: dict[int, dict[str, Any]] = {}
        for line in _lines(self.metrics_file):
            step = line.get("step")
            if isinstance(step, int):
                for later in [number for number in found if number > step]:
                    del found[later]
                found[step] = found.get(step, {}) | line
        yield from (found[step] for step in sorted(found))

    def broken(self) -> dict[str, str] | None:
        """None where the run never began."""
        try:
            found = json.loads(self.broken_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return {str(path): str(why) for path, why in found.items()} if isinstance(found, dict) else None

    def answers(self) -> list[dict[str, Any]]:
        """Held-out questions: question, pictures, right, before and (once it has ended) after; `earlier` is what was
        said before it."""
        return list(_lines(self.answers_file))

    def checkpoints(self) -> list[Path]:
        """The whole ones, oldest first."""
        found = []
        for folder in self.path.glob("checkpoint-*"):
            number = folder.name.removeprefix("checkpoint-")
            if number.isdecimal() and (folder / COMPLETE).is_file():
                found.append((int(number), folder))
        return [folder for _, folder in sorted(found)]

    def log_tail(self, num_bytes: int = 8000) -> str:
        """The end of the log, from a line's beginning."""
        try:
            with self.log_file.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - num_bytes))
                text = log.read().decode("utf-8", errors="replace")
        except OSError:
            return ""
        return text if size <= num_bytes else text.partition("\n")[2]


def write_whole(path: Path, text: str) -> None:
    """Beside it, then renamed. What UTF-8 has not (half of a pair, as in some file names) becomes an escape, which JSON
    reads back as it was. Raises OSError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines; a last line that is half there is left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.split("\n"):  # not splitlines: an answer may hold a line separator of Unicode
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value
