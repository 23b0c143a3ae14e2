"""What befalls jobs: killed pages, killed processes, processes that do not end, locked databases, several pages."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from app import job_watch
from app.job_process import ProcessMark, is_running, mark_of
from app.jobs import Job, Jobs
from tests.app.job_page import config, open_store, page, wait_for, wait_until, wait_until_training

ROOT = Path(__file__).resolve().parents[2]


def pid_of(job: Job) -> int:
    return int((job.folder.path / "starts").read_text().split()[-1])


def page_process(folder: Path, orders: str = "run") -> subprocess.Popen[str]:
    """A page in a process of its own, which has ordered a job."""
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.app.job_page", str(folder), orders],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None and started.stdout.readline() == "ready\n"
    return started


def end_group(job: Job, number: signal.Signals) -> None:
    pid = pid_of(job)
    os.killpg(pid, number)
    wait_for(lambda: mark_of(pid) is None)


def stop(jobs: Jobs, job: Job) -> Job:
    jobs.stop(job.id)
    return wait_until(jobs, job, "stopped")


def test_a_page_that_is_killed_leaves_its_job_running_and_the_next_finds_it(tmp_path: Path) -> None:
    heard: list[str] = []
    with page_process(tmp_path) as first:
        store = open_store(tmp_path)
        wait_for(lambda: all(each.pid for each in store.jobs.all()))
        (record,) = store.jobs.all()
        store.close()
        first.kill()
    with page(tmp_path, on_running=lambda job: heard.append(job.id)) as jobs:
        (job,) = jobs.list()
        job = wait_until_training(jobs, job)
        pid = pid_of(job)
        assert pid == record.pid and job.phase == "running"
        wait_for(lambda: heard == [record.id])
        assert os.getpgid(pid) == pid == os.getsid(pid)
        assert stop(jobs, job).words == "Stopped at step 7 of 100. Resume goes on at step 7."
        assert mark_of(pid) is None and pid_of(job) == pid


def test_a_page_that_is_closed_leaves_its_job_running(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "colours", config()))
    assert mark_of(pid_of(job)) is not None
    with page(tmp_path) as jobs:
        stop(jobs, job)


def test_a_job_that_ended_while_no_page_was_there_is_told_as_it_ended(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        made = [jobs.create("ann", f"{number}", config(device=f"cuda:{number}")) for number in range(3)]
        for job in made:
            wait_until_training(jobs, job)
    for job, number in zip(made, (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL), strict=True):
        end_group(job, number)
    made[2].folder.status_file.write_text('{"phase": "done", "words": "Trained 100 steps."}')
    with page(tmp_path) as jobs:
        assert wait_until(jobs, made[0], "stopped").words.startswith("Stopped at step 7 of 100.")
        failed = wait_until(jobs, made[1], "failed")
        assert "left no word" in failed.words and "begins with run" in failed.words
        assert "no checkpoint was saved" in failed.words
        assert wait_until(jobs, made[2], "done").words == "Trained 100 steps."


def test_another_process_with_the_same_number_is_not_the_job(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "colours", config()))
    os.killpg(pid_of(job), signal.SIGKILL)
    store = open_store(tmp_path)
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        # The number that the job had is now this process's.
        (record,) = store.jobs.all()
        store.jobs.adopt(record.id, record.page, job_watch.HOST)
        store.jobs.set_process(record.id, other.pid, record.process_start)
        store.jobs.ask_stop(record.id, "")
        store.close()
        with page(tmp_path) as jobs:
            assert wait_until(jobs, job, "stopped", "failed").phase == "stopped"
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("linux", [True, False])
def test_the_same_number_started_at_another_time_is_another_process(
    monkeypatch: pytest.MonkeyPatch, linux: bool
) -> None:
    if not linux:
        monkeypatch.setattr("app.job_process._BOOT_ID", Path("/not/there"))
    own = mark_of(os.getpid())
    assert own is not None and is_running(own)
    assert not is_running(replace(own, start=own.start + "1"))
    with subprocess.Popen(["sleep", "600"]) as child:
        mark = mark_of(child.pid)
        assert mark is not None and is_running(mark) and mark.start != own.start
        child.kill()
        wait_for(lambda: not is_running(mark))  # although nobody has asked for how it ended
        assert mark_of(child.pid) is None and psutil.pid_exists(child.pid)
    assert not is_running(ProcessMark(child.pid, mark.start))


def test_a_killed_job_is_failed_with_the_signal_and_the_way_on(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "colours", config()))
        for name, is_whole in (("checkpoint-20", True), ("checkpoint-9", True), ("checkpoint-40", False)):
            (job.folder.path / name).mkdir()
            if is_whole:
                (job.folder.path / name / "complete").touch()
        os.kill(pid_of(job), signal.SIGKILL)
        words = wait_until(jobs, job, "failed").words
        assert words.startswith("It was killed (signal 9), perhaps because the machine ran out of memory")
        assert words.endswith("Resume goes on at step 20.")
        jobs.resume(job.id)
        stop(jobs, wait_until_training(jobs, job))


def test_a_job_that_crashes_is_failed_with_the_end_of_its_log(tmp_path: Path) -> None:
    with page(tmp_path, "crash") as jobs:
        failed = wait_until(jobs, jobs.create("ann", "colours", config()), "failed")
        assert "exit status 1" in failed.words and "ValueError: no such thing as a loss" in failed.words
        assert "Traceback" in failed.folder.log_tail()


def test_what_an_earlier_try_wrote_is_not_taken_for_the_end_of_this_one(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        job = stop(jobs, wait_until_training(jobs, jobs.create("ann", "colours", config())))
        (tmp_path / "runs" / "orders").write_text("crash")
        jobs.resume(job.id)
        failed = wait_until(jobs, job, "failed")
        assert "exit status 1" in failed.words and failed.words.endswith("Resume goes on at step 7.")


def test_a_job_that_does_not_end_is_killed_and_that_is_told(tmp_path: Path) -> None:
    with page(tmp_path, "ignore", stop_seconds=600.0) as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "colours", config()))
        jobs.stop(job.id)
        wait_for(lambda: "told to end, and going on" in job.folder.log_tail())
        assert jobs.get(job.id).phase == "stopping" and "killed" in jobs.get(job.id).words
        jobs._watch._stop_seconds = 0.1  # as if so much time had passed
        stopped = wait_until(jobs, job, "stopped")
        assert "was killed" in stopped.words and "no checkpoint was saved" in stopped.words
        assert mark_of(pid_of(job)) is None


def saving(jobs: Jobs) -> Job:
    job = jobs.create("ann", "colours", config())
    wait_for(lambda: (status := jobs.get(job.id).status) is not None and status.phase == "saving")
    return job


def test_a_job_that_is_saving_is_not_killed_and_that_is_told(tmp_path: Path) -> None:
    with page(tmp_path, "save", stop_seconds=0.2) as jobs:
        job = saving(jobs)
        jobs.stop(job.id)
        words = jobs.get(job.id).words
        assert words == "Saving checkpoint-7; it is killed if it still does 10 minutes after Stop."
        time.sleep(0.5)
        assert jobs.get(job.id).phase == "stopping" and mark_of(pid_of(job)) is not None
        (job.folder.path / "saved").touch()
        assert wait_until(jobs, job, "stopped").words.endswith("Resume goes on at step 7.")


def test_a_job_that_saves_for_too_long_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_watch, "SAVING_SECONDS", 0.4)
    with page(tmp_path, "save", stop_seconds=0.2) as jobs:
        job = saving(jobs)
        jobs.stop(job.id)
        words = wait_until(jobs, job, "stopped").words
        assert words.startswith("It was still saving 600 seconds after it was asked")
        assert mark_of(pid_of(job)) is None


def test_a_page_that_comes_later_kills_what_does_not_end(tmp_path: Path) -> None:
    with page(tmp_path, "ignore") as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "colours", config()))
        jobs.stop(job.id)
        wait_for(lambda: "told to end, and going on" in job.folder.log_tail())
    with page(tmp_path, "ignore", stop_seconds=1.0) as jobs:
        assert "was killed" in wait_until(jobs, job, "stopped").words
    assert job.folder.log_tail().count("told to end, and going on") == 1


def test_the_rest_of_its_group_goes_with_it(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        "pathlib.Path(sys.argv[1], 'child').write_text(str(child.pid))\n"
        "time.sleep(300)"
    )
    with page(tmp_path, command=lambda folder: [sys.executable, "-c", program, str(folder)]) as jobs:
        job = jobs.create("ann", "colours", config())
        child = job.folder.path / "child"
        wait_for(lambda: child.exists() and child.read_text())
        pid = int(child.read_text())
        first = psutil.Process(pid).ppid()
        os.kill(first, signal.SIGKILL)
        wait_until(jobs, job, "failed")
        wait_for(lambda: mark_of(pid) is None)


def test_several_pages_start_a_job_once_and_leave_it_to_the_one_that_did(tmp_path: Path) -> None:
    with page(tmp_path) as mine, page(tmp_path) as theirs, page(tmp_path) as third:
        made = [mine.create("ann", f"{number}", config()) for number in range(4)]
        for job in made:
            running = wait_until_training(theirs, job)
            assert [each.phase for each in third.list()].count("running") == 1
            time.sleep(0.3)  # in which any of the three might have started another
            assert len((running.folder.path / "starts").read_text().split()) == 1
            if job == made[0]:
                stop(third, job)
                continue
            os.killpg(pid_of(job), signal.SIGKILL)
            assert "signal 9" in wait_until(theirs, job, "failed").words  # which only its parent knows


def test_a_job_whose_page_died_is_looked_after_by_another(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        with page_process(tmp_path) as other:
            (job,) = jobs.list()
            wait_until_training(jobs, job)
            other.kill()
        os.killpg(pid_of(job), signal.SIGKILL)
        assert wait_until(jobs, job, "failed").has_ended


@pytest.mark.parametrize("asked", [False, True])
def test_a_job_that_was_claimed_by_a_page_that_died_is_started_by_the_next(
    tmp_path: Path, asked: bool
) -> None:
    with page(tmp_path) as jobs:
        blocks = wait_until_training(jobs, jobs.create("ann", "before it", config()))
        waits = jobs.create("ann", "colours", config())
    store = open_store(tmp_path)
    store.jobs.adopt(blocks.id, store.jobs.get(blocks.id).page, job_watch.HOST)
    os.killpg(pid_of(blocks), signal.SIGKILL)
    store.jobs.end(blocks.id, "failed", "Killed.")
    assert store.jobs.claim(waits.id, job_watch.HOST, "cpu", config().to_json())
    assert not asked or store.jobs.ask_stop(waits.id, "Saving.")
    store.close()
    with page(tmp_path) as jobs:
        if asked:
            assert wait_until(jobs, waits, "stopped").words == "Stopped before it began."
        else:
            stop(jobs, wait_until_training(jobs, waits))


@pytest.mark.parametrize("asked", [False, True])
def test_a_process_whose_number_was_never_written_down_is_found(tmp_path: Path, asked: bool) -> None:
    with page(tmp_path) as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "colours", config()))
    pid = pid_of(job)
    with closing(sqlite3.connect(tmp_path / "chats.db")) as database:
        database.execute("UPDATE jobs SET pid = NULL, process_start = ''")
        if asked:
            database.execute("UPDATE jobs SET phase = 'stopping'")
        database.commit()
    with page(tmp_path) as jobs:
        if not asked:
            store = open_store(tmp_path)
            wait_for(lambda: store.jobs.get(job.id).pid == pid)
            store.close()
            jobs.stop(job.id)
        assert wait_until(jobs, job, "stopped").words.startswith("Stopped at step 7")
        assert pid_of(job) == pid and mark_of(pid) is None


def test_data_that_died_with_its_page_is_told(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with page(tmp_path) as jobs:
        kept = stop(jobs, wait_until_training(jobs, jobs.create("ann", "colours", config())))
    store.jobs.create("f" * 32, actor="ann", name="x", config="{}", host=job_watch.HOST, data_wanted=True)
    kept.folder.path.with_name("f" * 32).mkdir()
    store.close()
    with page(tmp_path) as jobs:
        wait_for(lambda: any("before the job's data was written" in each.words for each in records(tmp_path)))
        assert jobs.trouble == ""


def records(folder: Path) -> list[job_watch.JobRecord]:
    store = open_store(folder)
    try:
        return store.jobs.all()
    finally:
        store.close()


def test_a_locked_database_delays_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversations.database.BUSY_TIMEOUT_SECONDS", 2)
    with page(tmp_path) as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "colours", config()))
        waits = jobs.create("ann", "waits", config())
        with closing(sqlite3.connect(tmp_path / "chats.db")) as locking:
            locking.execute("BEGIN IMMEDIATE")
            os.killpg(pid_of(job), signal.SIGKILL)
            wait_for(lambda: "Another process held the database" in jobs.trouble)
            assert jobs.get(job.id).phase == "running"
            locking.rollback()
        assert "signal 9" in wait_until(jobs, job, "failed").words
        wait_until_training(jobs, waits)
        wait_for(lambda: jobs.trouble == "")
        stop(jobs, waits)
