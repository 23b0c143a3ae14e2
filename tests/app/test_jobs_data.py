"""What a job learns from and by: data that is written before it starts, and a config that somebody edits."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from app.jobs import JobRefused
from conversations.errors import InvalidText
from model.training.config import DataSource, TrainingConfig
from tests.app.job_page import config, page, wait_for, wait_until, wait_until_training
from tests.app.test_jobs import starts


def put(file: Path, content: bytes) -> None:
    """At once: whoever looks meanwhile sees no empty file."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_bytes(content)
    fresh.replace(file)


def test_the_data_is_written_before_it_starts(tmp_path: Path) -> None:
    go_on = threading.Event()

    def write(folder: Path) -> list[DataSource]:
        assert list(folder.iterdir()) == []
        go_on.wait(300)
        (folder / "train.json").write_text("[]")
        return [DataSource(str(folder / "train.json")), DataSource("old.json", share=0.3)]

    with page(tmp_path, "finish") as jobs:
        made = jobs.create("ann", "colours", config(), data=write)
        later = jobs.create("ann", "later", config())
        assert jobs.get(made.id).words == "Its data is being written."
        with pytest.raises(JobRefused, match="being written"):
            jobs.delete(made.id)
        assert starts(later.folder.path) == []
        go_on.set()
        done = wait_until(jobs, made, "done")
        assert [source.file for source in done.config.data] == [
            str(done.folder.path / "data/train.json"),
            "old.json",
        ]
        assert done.folder.config() == done.config == jobs.clone(made.id)
        wait_until(jobs, later, "done")
        assert jobs.get(later.id).started_at >= done.started_at  # type: ignore[operator]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InvalidText("No answer is approved; approve one."), "No answer is approved; approve one."),
        (OSError(28, "No space left on device"), "No space left"),
        (ZeroDivisionError(), "an error that it does not know"),
    ],
)
def test_data_that_cannot_be_written_makes_the_job_failed(
    tmp_path: Path, error: Exception, words: str
) -> None:
    def write(folder: Path) -> None:
        raise error

    with page(tmp_path) as jobs:
        made = jobs.create("ann", "colours", config(), data=write)
        failed = wait_until(jobs, made, "failed")
        assert failed.words.startswith("Its data could not be written:") and words in failed.words
        assert starts(failed.folder.path) == []
        with pytest.raises(JobRefused, match="never written"):
            jobs.resume(made.id)
        jobs.delete(made.id)
        assert not failed.folder.path.exists()


def test_a_config_edited_into_nonsense_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        made = wait_until_training(jobs, jobs.create("ann", "colours", config()))
        jobs.stop(made.id)
        wait_until(jobs, made, "stopped")
        whole = made.folder.config_file.read_text()
        for nonsense, words in (
            (whole.replace('"learning_rate": 2e-05', '"learning_rate": -1'), "learning_rate cannot be -1"),
            ("{", "The config is no JSON"),
            ("[1]", "A config is a JSON object"),
            ("\udcff", "is no text in UTF-8"),
        ):
            assert nonsense != whole
            made.folder.config_file.write_text(nonsense, errors="surrogateescape")
            with pytest.raises(JobRefused, match=words) as refused:
                jobs.resume(made.id)
            assert str(made.folder.config_file) in str(refused.value)
            assert jobs.clone(made.id) == config()
        made.folder.config_file.unlink()
        with pytest.raises(JobRefused, match="No such file"):
            jobs.resume(made.id)
        kept = jobs.get(made.id)
        assert kept.phase == "stopped" and [each.name for each in made.folder.checkpoints()] == [
            "checkpoint-7"
        ]
        made.folder.config_file.write_text(whole)
        jobs.resume(made.id)
        wait_until_training(jobs, made)
        jobs.stop(made.id)
        wait_until(jobs, made, "stopped")


def test_a_config_edited_while_it_waits_makes_it_failed(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        first, waits, too = (jobs.create("ann", name, config()) for name in ("1", "2", "3"))
        wait_until_training(jobs, first)
        put(waits.folder.config_file, b'{"recipe": "magic"}')
        put(too.folder.config_file, b"\xff")
        failed = wait_until(jobs, waits, "failed")
        assert "The config has no model" in failed.words and starts(waits.folder.path) == []
        assert "no text in UTF-8" in wait_until(jobs, too, "failed").words
        jobs.stop(first.id)
        wait_until(jobs, first, "stopped")


def test_what_was_changed_by_hand_and_can_be_meant_is_what_runs(tmp_path: Path) -> None:
    go_on = threading.Event()

    def write(folder: Path) -> None:
        go_on.wait(300)

    with page(tmp_path, "finish") as jobs:
        made = jobs.create("ann", "1", config(), data=write)
        made.folder.write_config(config(num_epochs=7.0, device="cuda:2"))
        go_on.set()
        done = wait_until(jobs, made, "done")
        assert done.config.num_epochs == 7.0 and done.device == "cuda:2"


def test_data_that_a_clone_could_still_be_resumed_on_is_not_deleted(tmp_path: Path) -> None:
    with page(tmp_path) as jobs:
        made = jobs.create("ann", "colours", config(), data=written)
        jobs.stop(wait_until_training(jobs, made).id)
        wait_until(jobs, made, "stopped")
        again = jobs.create("ann", "again", jobs.clone(made.id))
        other = jobs.create("ann", "by hand", config(device="cuda:1"))
        for job in (again, other):
            jobs.stop(wait_until_training(jobs, job).id)
            wait_until(jobs, job, "stopped")
        other.folder.write_config(jobs.clone(made.id))
        for job in (other, again):
            with pytest.raises(
                JobRefused, match=f"{job.name} could be resumed, and needs the folder of colours"
            ):
                jobs.delete(made.id)
            jobs.delete(job.id)
        jobs.delete(made.id)
        assert jobs.list() == []


def written(folder: Path) -> list[DataSource]:
    (folder / "train.json").write_text("[]")
    return [DataSource(str(folder / "train.json"))]


def test_what_is_stopped_while_its_data_is_written_can_be_resumed_later(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def write(folder: Path) -> None:
        begun.set()
        go_on.wait(300)

    with page(tmp_path, "finish") as jobs:
        made = jobs.create("ann", "colours", config(), data=write)
        assert begun.wait(300)
        jobs.stop(made.id)
        for deed in (jobs.resume, jobs.delete):
            with pytest.raises(JobRefused, match="being written"):
                deed(made.id)
        go_on.set()
        wait_for(lambda: jobs._records.get(made.id).data == "written" and not jobs._data.is_writing(made.id))
        assert jobs.get(made.id).words == "Stopped before it began." and starts(made.folder.path) == []
        jobs.resume(made.id)
        wait_until(jobs, made, "done")


def test_settings_are_cloned_for_another(tmp_path: Path) -> None:
    with page(tmp_path, "finish") as jobs:
        given: TrainingConfig = config(num_epochs=3.0, seed=5)
        made = jobs.create("ann", "colours", given)
        assert jobs.clone(made.id) == given
        wait_until(jobs, made, "done")
        assert jobs.get(jobs.create("ann", "again", jobs.clone(made.id)).id).config == given
