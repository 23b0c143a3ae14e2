"""Small runs for tests: training JSON with drawn pictures, a config for the tiny checkpoint, and runs in processes.

The processes are forked from one which has imported everything, so that a kill does not cost ten seconds of imports.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from PIL import Image

from model.training.config import DataSource, TrainingConfig
from model.training.recipes import config_for
from model.training.run_folder import RunFolder
from model.training.status import RunStatus

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["model.training.loop", "scripts.train", __name__])


def write_data(folder: Path, *, num_pictures: int = 12, num_texts: int = 8, seed: int = 0) -> Path:
    """folder/train.json and its pictures, of several shapes; one to three exchanges each."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    for number in range(num_pictures):
        shade = tuple(rng.randrange(256) for _ in range(3))
        Image.new("RGB", (20 + 5 * (number % 4), 30), shade).save(folder / f"{number}.png")
        turns = [_said("human", f"<image>\nWhat is on picture {number}?"), _said("gpt", f"Colour {shade}.")]
        for _ in range(number % 3):
            turns += [_said("human", "And what else?"), _said("gpt", "No " + "more " * rng.randrange(1, 9))]
        records.append({"id": f"p{number}", "image": f"{number}.png", "conversations": turns})
    for number in range(num_texts):
        turns = [
            _said("human", "Say " * (number + 1)),
            _said("gpt", f"Said {number}" + " again" * (number % 5)),
        ]
        records.append({"id": f"t{number}", "conversations": turns})
    rng.shuffle(records)
    file = folder / "train.json"
    file.write_text(json.dumps(records))
    return file


def _said(speaker: str, value: str) -> dict[str, str]:
    return {"from": speaker, "value": value}


def small_config(model: Path, data: Path, recipe: Any = "lora", **changes: Any) -> TrainingConfig:
    """Steps of eight samples in batches of four, three epochs."""
    values = {
        "learning_rate": 2e-3, "batch_size": 8, "micro_batch_size": 4, "num_epochs": 3.0, "held_out_share": 0.2,
        "num_asked": 3, "save_every_steps": 3, "evaluate_every_steps": 4, "lora_rank": 4, "lora_alpha": 8,
        "lora_dropout": 0.1, "device": "cpu",
    }  # fmt: skip
    return config_for(recipe, str(model), (DataSource(str(data)),), **{**values, **changes})


def new_run(path: Path, config: TrainingConfig) -> RunFolder:
    """A run's folder with its config."""
    folder = RunFolder(path)
    folder.write_config(config)
    return folder


def train_here(folder: RunFolder) -> RunStatus:
    """In this process; the status that it ended with."""
    from model.training.loop import run

    run(folder)
    return status_of(folder)


def status_of(folder: RunFolder) -> RunStatus:
    status = folder.status()
    assert status is not None, folder.log_tail()
    return status


@dataclass(frozen=True, slots=True)
class Limits:
    """What the process may take, in bytes: a file's length, and address space beyond what it has at its start. And the
    step after whose log it is killed, `killed_late` seconds after it wherever it is then, or waits for a file `go` in
    its folder; or in which it is asked to stop, after its first batch."""

    file_bytes: int | None = None
    more_memory: int | None = None
    killed_at: int | None = None
    killed_late: float = 0.0
    waits_at: int | None = None
    stopped_in: int | None = None


def start(folder: RunFolder, limits: Limits | None = None) -> ForkServerProcess:
    """`python -m scripts.train --run FOLDER` as a process of its own."""
    process = _PROCESSES.Process(target=_train, args=(str(folder.path), limits or Limits()))
    process.start()
    return process


def train(folder: RunFolder, limits: Limits | None = None, *, seconds: float = 300) -> int:
    """`start`, and its exit status."""
    process = start(folder, limits)
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"still running after {seconds} s:\n{folder.log_tail()}")
    return process.exitcode


def wait_until(holds: Callable[[], bool], process: ForkServerProcess, *, seconds: float = 300) -> None:
    """Until something holds while the process runs."""
    until = time.monotonic() + seconds
    while not holds():
        assert process.is_alive(), f"it ended by itself with {process.exitcode}"
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.002)


def last_step(folder: RunFolder) -> int:
    """That was logged."""
    return max((line["step"] for line in folder.metrics() if "loss" in line), default=0)


def _train(path: str, limits: Limits) -> None:
    import torch

    from scripts.train import main

    torch.set_num_threads(1)
    folder = RunFolder(Path(path))
    log = os.open(folder.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if limits.killed_at is not None:
        _after(limits.killed_at, lambda: _killed(limits.killed_late))
    if limits.waits_at is not None:
        _after(limits.waits_at, lambda: _waits(folder.path / "go"))
    if limits.stopped_in is not None:
        _stop_in(limits.stopped_in)
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    if limits.more_memory is not None:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + limits.more_memory,) * 2)
    sys.exit(main(["--run", path]))


def _killed(late: float) -> None:
    """Nothing of Python runs after it: no handler, no flush. The kernel keeps the time, however busy the machine is."""
    if not late:
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, late)


def _waits(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)


def _after(step: int, deed: Callable[[], None]) -> None:
    """Done when the step is in the log."""
    from model.training.reporter import Reporter

    tell = Reporter.metrics

    def metrics(self: Reporter, values: dict[str, Any]) -> None:
        tell(self, values)
        if values["step"] == step and "loss" in values:
            deed()

    Reporter.metrics = metrics  # type: ignore[method-assign]


def _stop_in(step: int) -> None:
    from model.training.trainer import LlavaTrainer

    compute = LlavaTrainer.training_step

    def training_step(self: LlavaTrainer, *args: Any, **kwargs: Any) -> Any:
        loss = compute(self, *args, **kwargs)
        if self.state.global_step == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    LlavaTrainer.training_step = training_step  # type: ignore[method-assign]
