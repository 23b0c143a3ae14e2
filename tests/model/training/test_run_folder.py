"""The folder through which a run is watched: no reader sees half of anything, and no writer loses what was there."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.training.config import DataSource, TrainingConfig
from model.training.run_folder import COMPLETE, RunFolder, write_whole
from model.training.status import ENDED, RunStatus

CONFIG = TrainingConfig("lora", "model", (DataSource("train.json"),))


def test_config_and_status_are_read_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "new")
    assert folder.status() is None
    folder.write_config(CONFIG)
    assert folder.config() == CONFIG
    folder.write_status(RunStatus("training", "Über 5 %", step=3))
    status = folder.status()
    assert status is not None
    assert (status.phase, status.words, status.step, status.has_ended) == ("training", "Über 5 %", 3, False)
    assert status.updated_at > 0
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.json", "status.json"]


def test_a_name_that_is_no_text_survives_its_file(tmp_path: Path) -> None:
    """As the name of a file that is not in UTF-8 is given to us."""
    folder = RunFolder(tmp_path)
    config = CONFIG.changed(model="m\udcff", data=(DataSource("ü\udc80.json"),))
    folder.write_config(config)
    assert folder.config() == config
    folder.write_status(RunStatus(words="m\udcff"))
    assert folder.status() == RunStatus(words="m\udcff").changed(updated_at=folder.status().updated_at)  # type: ignore[union-attr]


@given(st.binary(max_size=40))
def test_a_status_that_is_none_is_none(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.status_file.write_bytes(content)
    assert folder.status() is None


def test_a_status_of_another_version_is_read_as_far_as_it_is_known() -> None:
    told = json.loads(RunStatus("done").to_json()) | {"colour": "red"}
    del told["words"]
    assert RunStatus.from_json(json.dumps(told)) == RunStatus("done")
    assert all(RunStatus(phase).has_ended for phase in ENDED)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("phase", "asleep"), ("phase", ["training"]), ("phase", None), ("words", 3), ("words", None), ("step", "3"),
        ("step", 3.5), ("step", True), ("epoch", {}), ("fraction", "half"), ("seconds_left", float("nan")),
        ("seconds_left", float("inf")), ("epoch", 1e300), ("result", "both"), ("device", ["cpu"]),
        ("num_steps", 10**30), ("matched_after", [1]),
    ],
)  # fmt: skip
def test_a_status_with_a_value_of_another_kind_is_none_and_that_is_told(
    tmp_path: Path, name: str, value: object
) -> None:
    folder = RunFolder(tmp_path)
    assert folder.status_fault() == ""
    folder.status_file.write_text(json.dumps(json.loads(RunStatus("training").to_json()) | {name: value}))
    assert folder.status() is None
    assert f"status.json cannot be read ({name} is " in folder.status_fault()
    folder.status_file.write_text("[" * 100_000)
    assert folder.status() is None and "cannot be read" in folder.status_fault()


def test_a_share_of_no_questions_is_none() -> None:
    """As older programs wrote it."""
    values = json.loads(RunStatus("done").to_json()) | {"matched_before": 0.0, "matched_after": 0.0}
    assert RunStatus.from_json(json.dumps(values)).matched_after is None
    assert RunStatus.from_json(json.dumps(values | {"num_asked": 2})).matched_before == 0.0


def test_what_is_no_number_is_told_as_not_known() -> None:
    text = RunStatus(held_out_loss_after=float("nan"), seconds_left=float("inf")).to_json()
    read = RunStatus.from_json(json.dumps(json.loads(text, parse_constant=pytest.fail)))
    assert (read.held_out_loss_after, read.seconds_left) == (None, None)


def test_a_step_that_was_taken_again_counts_as_it_was_taken_last(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step, loss in ((1, 3.0), (2, 2.0), (3, 1.5), (2, 2.5)):
        folder.add_metrics({"step": step, "loss": loss})
    folder.add_metrics({"step": 2, "held_out_loss": 4.0})
    with folder.metrics_file.open("a") as lines:
        lines.write('{"step": 3, "lo')
    assert list(folder.metrics()) == [
        {"step": 1, "loss": 3.0},
        {"step": 2, "loss": 2.5, "held_out_loss": 4.0},
    ]


def test_an_answer_may_hold_any_line_break(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    rows = [{"right": "one\u2028two\x85three\x0bfour"}, {"right": "five\n"}]
    folder.answers_file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    assert folder.answers() == rows
    folder.answers_file.write_bytes(folder.answers_file.read_bytes() + '{"right": "ü'.encode()[:-1])
    assert folder.answers() == rows


def test_checkpoints_are_the_whole_ones_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for name in (
        "checkpoint-10",
        "checkpoint-9",
        "checkpoint-2",
        "checkpoint-x",
        "checkpoint-²",
        "checkpoint-11",
    ):
        (tmp_path / name).mkdir()
        if name != "checkpoint-11":
            (tmp_path / name / COMPLETE).touch()
    assert [path.name for path in RunFolder(tmp_path).checkpoints()] == [
        "checkpoint-2", "checkpoint-9", "checkpoint-10"
    ]  # fmt: skip


def test_the_logs_end_begins_with_a_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.log_tail() == ""
    folder.log_file.write_text("first\nsecond\nthird\n")
    assert folder.log_tail() == "first\nsecond\nthird\n"
    assert folder.log_tail(10) == "third\n"
    folder.log_file.write_bytes(b"\xfffirst\nsecond \xc3")
    assert folder.log_tail() == "\ufffdfirst\nsecond \ufffd"


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_rest(tmp_path: Path) -> None:
    write_whole(tmp_path / "status.json", "old")
    with _files_of_at_most(100), pytest.raises(OSError, match="too large"):
        write_whole(tmp_path / "status.json", "new" * 100)
    assert (tmp_path / "status.json").read_text() == "old"
    assert os.listdir(tmp_path) == ["status.json"]


def test_on_a_full_disk_a_status_is_written_over_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No new file can be made; an old one that is no longer than a block needs no new room."""
    from model.training import run_folder

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    folder = RunFolder(tmp_path)
    folder.write_status(RunStatus("training", "a long sentence " * 20))
    monkeypatch.setattr(run_folder, "write_whole", full)
    folder.write_status(RunStatus("failed", "full"))
    status = folder.status()
    assert status is not None
    assert (status.phase, status.words) == ("failed", "full")


class _files_of_at_most:
    """A real limit of the system, of this process."""

    def __init__(self, num_bytes: int) -> None:
        self._limit = num_bytes

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self._handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._limit, self._before[1]))

    def __exit__(self, *raised: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
        signal.signal(signal.SIGXFSZ, self._handler)
