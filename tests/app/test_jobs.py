"""What a person does with training jobs: order, stop, resume, rename, clone, delete; with real processes."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from app.job_process import find
from app.jobs import Job, JobRefused
from app.training_view import told as told_of
from conversations.errors import DiskFull, InvalidText, LogError, NotFound
from model.training.config import TrainingConfig
from model.training.run_folder import RunFolder
from model.training.status import RunStatus
from tests.app.job_page import config, page, wait_for, wait_until, wait_until_training


def starts(folder: Path) -> list[int]:
    file = folder / "starts"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_a_job_runs_in_a_process_and_a_folder_of_its_own(tmp_path: Path) -> None:
    with page(tmp_path, "finish") as jobs:
        made = jobs.create("ann", "colours", config(), frees_worker=True)
        assert (made.name, made.actor, made.phase, made.frees_worker) == ("colours", "ann", "queued", True)
        done = wait_until(jobs, made, "done")
        assert done.words == "Trained 100 steps." and done.status is not None and done.status.step == 100
        assert done.folder.path == tmp_path / "runs" / made.id
        assert done.folder.config() == config() == done.config
        assert "begins with finish" in done.folder.log_tail()
        assert done.device == "cpu" and done.started_at is not None and done.ended_at is not None
        assert jobs.list() == [done]
        assert len(starts(done.folder.path)) == 1


def test_it_is_started_anew_only_by_resume(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        made = wait_until_training(jobs, jobs.create("ann", "colours", config()))
        jobs.stop(made.id)
        assert jobs.get(made.id).phase in ("stopping", "stopped")
        stopped = wait_until(jobs, made, "stopped")
        assert stopped.words == "Stopped at step 7 of 100. Resume goes on at step 7."
        with pytest.raises(JobRefused, match="ended already"):
            jobs.stop(made.id)
        (tmp_path / "runs" / "orders").write_text("finish")
        jobs.resume(made.id)
        assert wait_until(jobs, made, "done").words == "Trained 100 steps."
        assert len(starts(made.folder.path)) == 2
        with pytest.raises(JobRefused, match="is done"):
            jobs.resume(made.id)


def test_the_queue_keeps_its_order_and_gives_a_device_one_job(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        first, second, third = (jobs.create("ann", name, config()) for name in ("1", "2", "3"))
        wait_until_training(jobs, first)
        other = wait_until_training(jobs, jobs.create("ann", "on another", config(device="cuda:3")))
        assert [jobs.get(each.id).phase for each in (first, second, third)] == ["running", "queued", "queued"]
        assert other.device == "cuda:3"
        jobs.stop(second.id)
        assert jobs.get(second.id).words == "Stopped before it began."
        with pytest.raises(JobRefused, match="is queued already"):
            jobs.resume(third.id)
        jobs.resume(second.id)
        jobs.stop(first.id)
        wait_until_training(jobs, third)
        assert jobs.get(second.id).phase == "queued"
        jobs.stop(third.id)
        wait_until_training(jobs, second)
        for each in (second, other):
            jobs.stop(each.id)
            wait_until(jobs, each, "stopped")


def test_what_runs_is_not_deleted_and_what_is_deleted_is_gone(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        made = wait_until_training(jobs, jobs.create("ann", "colours", config()))
        with pytest.raises(JobRefused, match="is running; stop it first"):
            jobs.delete(made.id)
        assert made.folder.path.is_dir()
        jobs.stop(made.id)
        wait_until(jobs, made, "stopped")
        after = jobs.create("ann", "on its result", config(model=str(made.folder.result), device="cuda:1"))
        with pytest.raises(JobRefused, match="on its result needs the folder of colours"):
            jobs.delete(made.id)
        jobs.stop(wait_until_training(jobs, after).id)
        wait_until(jobs, after, "stopped")
        with pytest.raises(
            JobRefused, match="on its result could be resumed, and needs the folder of colours"
        ):
            jobs.refuse_delete(made.id)
        (tmp_path / "runs" / "orders").write_text("finish")
        jobs.resume(after.id)
        wait_until(jobs, after, "done")
        jobs.delete(made.id)
        assert not made.folder.path.exists() and [each.id for each in jobs.list()] == [after.id]
        assert not list((tmp_path / "runs").glob(".*"))
        with pytest.raises(NotFound):
            jobs.delete(made.id)


@pytest.mark.parametrize("text", ["{", '{"phase": "training", "words": ["Training"], "step": "many"}'])
def test_a_status_that_cannot_be_read_is_told_of_its_run_alone(tmp_path: Path, text: str) -> None:
    with page(tmp_path) as jobs:
        odd = wait_until_training(jobs, jobs.create("ann", "odd", config()))
        whole = wait_until_training(jobs, jobs.create("ann", "whole", config(device="cuda:1")))
        odd.folder.status_file.write_text(text)
        told = {job.name: told_of(job) for job in jobs.list()}
        assert "status.json cannot be read (" in told["odd"]["words"] and told["whole"]["words"] == "Training"
        for job in (odd, whole):
            jobs.stop(job.id)
            wait_until(jobs, job, "stopped")
        odd.folder.status_file.write_text(text)
        assert jobs.get(odd.id).words.startswith("Stopped at step 7")
        assert "status.json cannot be read (" in jobs.get(odd.id).words


def test_words_of_a_process_that_are_no_text_are_shown_as_far_as_they_are(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        job = wait_until_training(jobs, jobs.create("ann", "odd", config()))
        job.folder.write_status(RunStatus("training", "m\udcff", device="\udcff"))
        told = told_of(jobs.get(job.id))
        assert (told["words"], told["facts"]["device"]) == ("m\ufffd", "\ufffd")
        jobs.stop(job.id)
        wait_until(jobs, job, "stopped")


def test_a_link_is_not_followed_when_a_job_is_deleted(tmp_path: Path) -> None:
    with page(tmp_path, "finish") as jobs:
        made = wait_until(jobs, jobs.create("ann", "colours", config()), "done")
        elsewhere = tmp_path / "elsewhere"
        made.folder.path.rename(elsewhere)
        made.folder.path.symlink_to(elsewhere)
        with pytest.raises(JobRefused, match="leads elsewhere"):
            jobs.delete(made.id)
        assert (elsewhere / "config.json").exists() and jobs.get(made.id).phase == "done"


def test_an_id_leads_nowhere_but_to_a_job(tmp_path: Path) -> None:
    victims = [tmp_path / "victim", tmp_path / "runs" / "victim", tmp_path / "runs" / ("A" * 32)]
    with page(tmp_path) as jobs:
        for each in victims:
            each.mkdir()
        zeros = "0" * 32
        for job_id in (
            "",
            "..",
            "../victim",
            "/tmp",
            "victim",
            "A" * 32,
            zeros,
            "\0",
            zeros[1:] + "/",
            zeros + "\n",
        ):
            for deed in (
                jobs.delete,
                jobs.get,
                jobs.stop,
                jobs.resume,
                jobs.clone,
                lambda of: jobs.rename(of, "x"),
            ):
                with pytest.raises(NotFound):
                    deed(job_id)
    assert all(each.is_dir() for each in victims)


def test_a_name_is_changed_or_made(tmp_path: Path) -> None:
    with page(tmp_path, "finish") as jobs:
        made = jobs.create("ann", " ", config(model="/models/llava-7b"))
        assert made.name == "lora of llava-7b"
        jobs.rename(made.id, "Ann's colours")
        assert jobs.get(made.id).name == "Ann's colours"
        with pytest.raises(InvalidText):
            jobs.rename(made.id, "x" * 300)
        with pytest.raises(InvalidText):
            jobs.create("ann", "x" * 300, config())
        assert [each.name for each in (tmp_path / "runs").iterdir() if each.is_dir()] == [made.id]
        wait_until(jobs, made, "done")


def test_a_folder_that_was_taken_away_is_told_and_the_job_can_be_deleted(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        first, made = jobs.create("ann", "1", config()), jobs.create("ann", "2", config())
        wait_until_training(jobs, first)
        made.folder.path.rename(tmp_path / "away")
        jobs.stop(first.id)
        wait_until(jobs, first, "stopped")
        assert f"{made.folder.path} is not there" in jobs.get(made.id).words
        jobs.stop(made.id)
        with pytest.raises(JobRefused, match="is not there"):
            jobs.resume(made.id)
        jobs.delete(made.id)
        assert [each.id for each in jobs.list()] == [first.id]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(folder: RunFolder, config: TrainingConfig) -> None:
        folder.config_file.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with page(tmp_path) as jobs:
        monkeypatch.setattr(RunFolder, "write_config", write)
        with pytest.raises(DiskFull, match="no room left on the disk"):
            jobs.create("ann", "colours", config())
        assert jobs.list() == [] and [each.name for each in (tmp_path / "runs").iterdir()] == ["orders"]


def test_what_people_wrote_is_for_nobody_else_on_the_machine(tmp_path: Path) -> None:
    with page(tmp_path, "finish") as jobs:
        made = jobs.create("ann", "colours", config())
        assert made.folder.path.stat().st_mode & 0o777 == 0o700
        wait_until(jobs, made, "done")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        (tmp_path / "runs" / "orders").unlink()
        (tmp_path / "runs").rmdir()
        (tmp_path / "runs").write_text("a file")
        with pytest.raises(LogError, match="cannot be written"):
            jobs.create("ann", "colours", config())
        assert jobs.list() == []


def test_a_job_knows_nothing_of_the_pages_secrets(tmp_path: Path) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "HF_TOKEN": "for a gated base",
        "LLAVA_LOOP_WORKER_TOKEN": "secret",
        "LLAVA_LOOP_ADMIN": "ann:secret",
        "LLAVA_LOOP_AUTH": "bob:secret",
        "LLAVA_LOOP_DATABASE_URL": "postgresql://u:secret@h/d",
        "GRADIO_TEMP_DIR": "/secret",
    }
    with page(tmp_path, "finish", environment=environment) as jobs:
        made = wait_until(jobs, jobs.create("ann", "colours", config()), "done")
        seen = json.loads((made.folder.path / "environment.json").read_text())
        assert "secret" not in str(seen) and seen["HF_TOKEN"] == "for a gated base"
        assert seen["LLAVA_LOOP_JOB"] == made.id


def test_who_listens_hears_of_the_beginning_before_the_process_starts(tmp_path: Path) -> None:
    heard: list[tuple[str, str, str, bool]] = []

    def there_was_a_process(job: Job) -> bool:
        return bool(starts(job.folder.path)) or find(job.id) is not None

    with page(
        tmp_path,
        "finish",
        on_running=lambda job: heard.append(("on", job.id, job.phase, there_was_a_process(job))),
        on_ended=lambda job: heard.append(("off", job.id, job.phase, there_was_a_process(job))),
    ) as jobs:
        first, second = (jobs.create("ann", name, config()) for name in ("1", "2"))
        wait_for(lambda: len(heard) == 4)
    of_first = [each for each in heard if each[1] == first.id]
    assert of_first == [("on", first.id, "running", False), ("off", first.id, "done", True)]
    assert {each[1] for each in heard} == {first.id, second.id}


def test_who_listens_badly_does_no_harm(tmp_path: Path) -> None:
    def listen(job: object) -> None:
        raise RuntimeError("no worker")

    with page(tmp_path, "finish", on_running=listen, on_ended=listen) as jobs:
        wait_until(jobs, jobs.create("ann", "colours", config()), "done")
        assert jobs.trouble == ""


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with page(tmp_path, command=lambda folder: ["/no/such/program"]) as jobs:
        failed = wait_until(jobs, jobs.create("ann", "colours", config()), "failed")
        assert "could not be started" in failed.words and "/no/such/program" in failed.words
