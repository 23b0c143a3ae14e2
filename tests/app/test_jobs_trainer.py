"""Jobs with the real trainer on a tiny model: stopped, resumed, and brought to its end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from app.job_command import train_command
from app.job_process import find
from tests.app.job_page import page, wait_for, wait_until
from tests.model.tiny import write_tiny_checkpoint
from tests.model.training.small_run import small_config, write_data

SECONDS = 300.0
"""A process imports torch first, on a machine with other work."""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_real_run_that_is_stopped_has_saved_where_it_was(tmp_path: Path) -> None:
    config = small_config(
        write_tiny_checkpoint(tmp_path / "base"), write_data(tmp_path / "data"), max_steps=100_000
    )
    with page(tmp_path, command=train_command) as jobs:
        job = jobs.create("ann", "colours", config)
        wait_for(lambda: (status := job.folder.status()) is not None and status.step > 0, SECONDS)
        jobs.stop(job.id)
        stopped = wait_until(jobs, job, "stopped")
        assert stopped.status is not None and stopped.status.step > 0
        assert f"step {stopped.status.step}" in stopped.words and stopped.words.count("Resume") == 1
        assert job.folder.checkpoints()[-1].name == f"checkpoint-{stopped.status.step}"


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_real_run_is_killed_stopped_and_ends(tmp_path: Path) -> None:
    config = small_config(
        write_tiny_checkpoint(tmp_path / "base"),
        write_data(tmp_path / "data"),
        save_every_steps=1,
        max_steps=100_000,
    )
    with page(tmp_path, command=train_command) as jobs:
        job = jobs.create("ann", "colours", config)
        wait_for(lambda: len(job.folder.checkpoints()) > 0, SECONDS)
        mark = find(job.id)
        assert mark is not None
        os.kill(mark.pid, signal.SIGKILL)
        failed = wait_until(jobs, job, "failed")
        assert "signal 9" in failed.words and "Resume goes on at step " in failed.words
        killed_at = int(failed.words.rpartition("step ")[2].rstrip("."))
        jobs.resume(job.id)
        wait_for(lambda: (status := job.folder.status()) is not None and status.step > killed_at + 1, SECONDS)
        jobs.stop(job.id)
        stopped = wait_until(jobs, job, "stopped")
        assert stopped.status is not None and stopped.status.step > killed_at
        assert f"step {stopped.status.step}" in stopped.words and stopped.words.count("Resume") == 1
        last = job.folder.checkpoints()[-1]
        assert last.name == f"checkpoint-{stopped.status.step}"
        job.folder.write_config(config.changed(max_steps=stopped.status.step + 2, num_asked=0))
        jobs.resume(job.id)
        wait_for(lambda: jobs.get(job.id).has_ended, SECONDS)
        done = jobs.get(job.id)
        assert done.phase == "done", done.folder.log_tail()
        assert (done.folder.result / "adapter_model.safetensors").is_file()


@pytest.mark.nightly
def test_what_the_trainer_cannot_do_is_said_in_its_sentence(tmp_path: Path) -> None:
    config = small_config(tmp_path / "no such model", write_data(tmp_path / "data"))
    with page(tmp_path, command=train_command) as jobs:
        job = jobs.create("ann", "colours", config)
        wait_for(lambda: jobs.get(job.id).has_ended, SECONDS)
        failed = jobs.get(job.id)
        assert failed.phase == "failed" and "no such model" in failed.words
        assert failed.status is not None and failed.status.phase == "failed"
