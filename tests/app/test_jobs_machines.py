"""Jobs and the names of machines: one that was renamed, one that lives elsewhere, one that nobody hears of again."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from app import job_place, job_watch
from tests.app.job_page import config, open_store, page, wait_for, wait_until, wait_until_training
from tests.app.test_jobs_faults import pid_of, records, stop


def call_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(job_watch, "HOST", name)
    monkeypatch.setattr("app.jobs.HOST", name)


def start_it_in_another_boot(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "chats.db")) as database:
        database.execute("UPDATE jobs SET process_start = 'another:1', pid = 4194304 WHERE phase = 'running'")
        database.commit()


@pytest.mark.parametrize("same_boot", [True, False])
def test_a_machine_that_was_renamed_tells_that_its_job_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_boot: bool
) -> None:
    """A container that was built anew, a Space, a laptop."""
    call_it(monkeypatch, "before")
    with page(tmp_path) as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "colours", config()))
    os.killpg(pid_of(job), signal.SIGKILL)
    if not same_boot:
        start_it_in_another_boot(tmp_path)
        monkeypatch.setattr(job_place, "QUIET_SECONDS", 0.0)
    call_it(monkeypatch, "after")
    with page(tmp_path) as jobs:
        assert "Its process is gone and left no word" in wait_until(jobs, job, "failed").words
        jobs.delete(job.id)
        assert jobs.list() == []


def test_a_machine_that_was_renamed_goes_on_looking_after_its_job_and_gives_the_device_to_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_it(monkeypatch, "before")
    with page(tmp_path) as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "colours", config()))
        call_it(monkeypatch, "after")
        later = jobs.create("ann", "later", config())
        time.sleep(0.3)  # in which it might have been started
        assert jobs.get(later.id).phase == "queued" and jobs.get(job.id).phase == "running"
    with page(tmp_path) as jobs:
        wait_for(lambda: [each.host for each in records(tmp_path)] == ["after", "after"])
        time.sleep(0.3)
        assert jobs.get(later.id).phase == "queued" and jobs.get(job.id).phase == "running"
        stop(jobs, job)
        stop(jobs, wait_until_training(jobs, later))


def test_a_job_of_another_living_machine_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share the database and the disk; its process cannot be seen from here, but its page lives."""
    monkeypatch.setattr(job_place, "QUIET_SECONDS", 0.0)
    other, far = open_store(tmp_path), "f" * 32
    (tmp_path / "runs" / far).mkdir(parents=True)
    other.jobs.create(far, actor="ann", name="far", config=config().to_json(), host="far")
    assert other.jobs.claim(far, "far", "cpu", config().to_json())
    other.jobs.set_process(far, 4194304, "another:1")
    with page(tmp_path) as jobs:
        stop(jobs, wait_until_training(jobs, jobs.create("ann", "mine", config())))
        assert jobs.get(far).phase == "running"
        other.close()
        assert wait_until(jobs, jobs.get(far), "failed").has_ended


def test_data_that_died_with_a_page_of_another_name_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    monkeypatch.setattr(job_place, "QUIET_SECONDS", 0.0)
    (tmp_path / "runs" / ("f" * 32)).mkdir(parents=True)
    (tmp_path / "runs" / ("f" * 32) / "config.json").write_text(config().to_json())
    store.jobs.create("f" * 32, actor="a", name="x", config=config().to_json(), host="old", data_wanted=True)
    store.close()
    with page(tmp_path) as jobs:
        stop(jobs, wait_until_training(jobs, jobs.create("ann", "mine", config())))


def test_a_job_of_another_machine_is_left_alone_and_given_up_when_nobody_there_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its page is started anew, and its process writes to the folder meanwhile."""
    call_it(monkeypatch, "far")
    with page(tmp_path) as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "colours", config()))
    call_it(monkeypatch, "here")
    os.killpg(pid_of(job), signal.SIGKILL)
    start_it_in_another_boot(tmp_path)
    with page(tmp_path) as jobs:
        time.sleep(0.5)
        assert jobs.get(job.id).phase == "running"
        jobs.stop(job.id)
        time.sleep(0.5)
        assert jobs.get(job.id).phase == "stopping"
        monkeypatch.setattr(job_watch, "VAIN_SECONDS", 0.0)
        assert "far did not answer" in wait_until(jobs, job, "failed").words


def test_what_waits_is_started_by_whichever_machine_has_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop changes its name with the network that it is in."""
    with page(tmp_path) as jobs:
        before = wait_until_training(jobs, jobs.create("ann", "before it", config()))
        waits, away = (jobs.create("ann", name, config(device="cuda:1")) for name in ("waits", "away"))
        stop(jobs, waits)
        stop(jobs, wait_until_training(jobs, away))
        stop(jobs, before)
    call_it(monkeypatch, "renamed")
    store = open_store(tmp_path)
    away.folder.path.rename(tmp_path / "away")
    for job in (away, waits):
        assert store.jobs.queue_again(job.id, config().to_json(), "")
    store.close()
    with page(tmp_path) as jobs:
        stop(jobs, wait_until_training(jobs, waits))
        assert "Waits for a page on" in jobs.get(away.id).words
