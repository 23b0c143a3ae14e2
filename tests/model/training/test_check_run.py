"""`--check` as a person runs it: its exit status, what it writes and prints, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.training.check_run import check_run
from model.training.data_report import DataReport
from model.training.run_folder import RunFolder
from model.training.status import RunStatus
from tests.model.tiny import write_tiny_checkpoint
from tests.model.training.data_sets import colours, record, write
from tests.model.training.small_run import new_run, small_config


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("base") / "tiny")


def checked(folder: RunFolder) -> tuple[int, DataReport]:
    status = check_run(folder, folder.config())
    return status, DataReport.from_json(folder.check_file.read_text(encoding="utf-8"))


def test_whole_data_may_start_and_is_told_with_what_it_needs(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [*colours(0, 10), record("e", [("What?", "")])]
    run = new_run(tmp_path / "run", small_config(base, write(tmp_path / "data", records)))
    status, report = checked(run)
    shown = capsys.readouterr().out
    assert (status, report.may_start, report.stops) == (0, True, ())
    assert report.estimate is not None and report.estimate.fits and report.estimate.seconds > 0
    assert report.estimate.words in shown
    assert "1 example left out: with an empty answer" in shown
    assert "[[ Colour 0.###]]" in shown and "<0.png: 16 tokens>" in shown
    assert f"The run may start: {report.num_steps} steps." in shown
    assert [path.name for path in sorted(run.path.iterdir())] == ["check.json", "config.json"]


def test_data_that_is_not_whole_must_not_start(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "data", [*colours(0, 3), {"id": "bad"}], draw=False)
    status, report = checked(new_run(tmp_path / "run", small_config(base, file)))
    shown = capsys.readouterr().out
    assert (status, report.estimate) == (1, None)
    assert "record 4, conversations" in shown and "Stop: 1 record of" in shown
    assert "may start" not in shown


def test_a_base_that_is_not_there_is_a_reason_to_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "data", colours(0, 3))
    status, report = checked(new_run(tmp_path / "run", small_config(tmp_path / "no base", file)))
    assert status == 1
    assert "no base" in report.stops[0] and report.stops[0] in capsys.readouterr().out


def test_the_status_of_a_run_is_left_alone(base: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", small_config(base, write(tmp_path / "data", colours(0, 120))))
    run.write_status(RunStatus(phase="stopped", step=7))
    before = run.status_file.read_bytes()
    assert checked(run)[0] == 0
    assert run.status_file.read_bytes() == before


def test_how_far_it_is_stands_in_the_status_of_a_folder_without_one(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path / "run", small_config(base, write(tmp_path / "data", colours(0, 120))))
    written: list[RunStatus] = []
    monkeypatch.setattr(RunFolder, "write_status", lambda self, status: written.append(status))
    assert checked(run)[0] == 0
    assert [status.phase for status in written] == ["checking"]
    assert "83%" in written[0].words
