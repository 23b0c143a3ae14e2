"""The worker makes room for a run, and what is said meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.worker_process import WorkerOptions, WorkerProcess
from app.worker_rest import WorkerRest, words_of
from model.training.run_folder import RunFolder
from model.training.status import RunStatus
from tests.app import job_page
from tests.app.job_page import wait_for
from tests.app.test_worker_process import FAST, healthy


@dataclass
class Worker:
    """Writes down who wants it away."""

    paused: dict[str, Callable[[], str]] = field(default_factory=dict)

    def pause(self, who: str, words: Callable[[], str], *, seconds: float) -> None:
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


@contextmanager
def worker_of(folder: Path, number: int) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(
        WorkerOptions(), folder / f"log{number}", pace=FAST, command=healthy(folder / "fault")
    )
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def rests(worker: WorkerProcess) -> bool:
    return worker.state.phase == "paused" and worker.process_id is None


def test_the_worker_is_away_while_a_real_job_runs_and_is_back_after_it_also_when_the_page_was_restarted(
    tmp_path: Path,
) -> None:
    with worker_of(tmp_path, 1) as worker:
        rest = WorkerRest(worker)
        with job_page.page(tmp_path, on_running=rest.on_running, on_ended=rest.on_ended) as jobs:
            wait_for(lambda: worker.state.phase == "ready")
            job = jobs.create("user:root", "Colours", job_page.config(), frees_worker=True)
            wait_for(lambda: rests(worker))
            wait_for(lambda: "“Colours” is trained (1 of 100 steps)" in (worker.state.reason or ""))
    with worker_of(tmp_path, 2) as worker:  # another page: its worker starts, and the job is found running
        rest = WorkerRest(worker)
        with job_page.page(tmp_path, on_running=rest.on_running, on_ended=rest.on_ended) as jobs:
            wait_for(lambda: rests(worker))
            assert jobs.get(job.id).phase == "running"
            jobs.stop(job.id)
            wait_for(lambda: worker.state.phase == "ready")
            assert jobs.get(job.id).phase == "stopped"


@pytest.mark.parametrize("end", ["crash", "finish"])
def test_however_a_job_ends_the_worker_is_back(tmp_path: Path, end: str) -> None:
    with worker_of(tmp_path, 1) as worker:
        rest, paused = WorkerRest(worker), list[tuple[str, int | None]]()
        wait_for(lambda: worker.state.phase == "ready")

        def on_running(job: job_page.Job) -> None:
            rest.on_running(job)
            paused.append((worker.state.phase, worker.process_id))  # its memory is free before the job begins

        with job_page.page(tmp_path, end, on_running=on_running, on_ended=rest.on_ended) as jobs:
            job = jobs.create("user:root", "Colours", job_page.config(), frees_worker=True)
            job_page.wait_until(jobs, job, "failed", "done")
            wait_for(lambda: worker.state.phase == "ready" and worker.state.num_restarts > 0)
        assert paused == [("paused", None)]
