"""The worker makes room for a run, and what is said meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.worker_rest import WorkerRest, words_of
from model.training.run_folder import RunFolder
from model.training.status import RunStatus


@dataclass
class Worker:
    """Writes down who wants it away."""

    paused: dict[str, Callable[[], str]] = field(default_factory=dict)

    def pause(self, who: str, words: Callable[[], str]) -> None:
        self.paused[who] = words

    def go_on(self, who: str) -> None:
        self.paused.pop(who, None)


@dataclass
class Job:
    id: str
    name: str
    folder: RunFolder
    frees_worker: bool


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_only_a_run_that_wants_its_memory_pauses_the_worker_and_its_end_brings_it_back(
    folder: RunFolder,
) -> None:
    worker = Worker()
    rest = WorkerRest(worker)
    greedy, modest = Job("g", "greedy", folder, True), Job("m", "modest", folder, False)
    rest.on_running(greedy)
    rest.on_running(modest)
    assert list(worker.paused) == ["g"]
    rest.on_ended(modest)
    assert list(worker.paused) == ["g"]
    rest.on_ended(greedy)
    assert not worker.paused
    WorkerRest(None).on_running(greedy)
    WorkerRest(None).on_ended(greedy)


def test_the_words_follow_the_run(folder: RunFolder) -> None:
    begun = "The model rests while “Colours” is trained"
    assert words_of("Colours", folder) == f"{begun}; questions wait for it"
    folder.write_status(RunStatus("training", step=12, num_steps=60, seconds_left=200.0))
    assert words_of("Colours", folder) == f"{begun} (12 of 60 steps, about 3 min left); questions wait for it"
    folder.write_status(RunStatus("done", step=60, num_steps=60, seconds_left=0.0))
    assert words_of("Colours", folder) == f"{begun}; questions wait for it"
