"""The look through the data in a process of its own: its report, its faults, and that it ends when nobody waits."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.training_check import CheckState, TrainingChecks
from conversations.errors import LogError
from model.training.config import DataSource, TrainingConfig
from model.training.recipes import config_for
from tests.app.test_training_sources import data_set

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300.0


def program(text: str) -> tuple[str, ...]:
    """In place of the check: it gets the run's folder as its last word."""
    return (
        sys.executable,
        "-c",
        f"import sys, os, time\nfrom pathlib import Path\nrun = Path(sys.argv[1])\n{text}",
    )


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    return config_for("lora", str(ROOT / "model" / "demo"), (DataSource(str(data_set(tmp_path / "set"))),))


@pytest.fixture
def checks_with(tmp_path: Path) -> Iterator[Callable[..., TrainingChecks]]:
    made = []

    def make(text: str = "", **more: float) -> TrainingChecks:
        command = {"command": program(text)} if text else {}
        made.append(TrainingChecks(tmp_path / "checks", **command, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


def until(look: Callable[[], bool], seconds: float = SECONDS) -> None:
    ends = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.05)


def ended(checks: TrainingChecks, owner: str = "ann") -> CheckState:
    until(lambda: checks.state(owner).phase != "running")
    return checks.state(owner)


def pid_in(folder: Path) -> Callable[[], int]:
    """The process that wrote its number into the folder of its check."""

    def look() -> int:
        for file in folder.glob("check-*/pid"):
            with suppress(FileNotFoundError):  # it goes at this very moment
                return int(file.read_text() or 0)
        return 0

    return look


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):  # the latter between the two lines
        return True


SLEEPS = "(run / 'pid').write_text(str(os.getpid()))\ntime.sleep(600)"


def test_the_real_check_shows_samples_lengths_and_what_the_run_will_need(
    checks_with: Callable[..., TrainingChecks], config: TrainingConfig, tmp_path: Path
) -> None:
    checks = checks_with()
    checks.start("ann", config.changed(held_out_share=0.0), None)
    state = ended(checks)
    assert (state.phase, state.words, state.may_start) == ("done", "", True), state
    assert "<dt>samples to learn from</dt><dd>3</dd>" in state.html
    assert '<span class="learnt"' in state.html and "Red." in state.html
    assert state.html.count('<img src="data:image/png;base64,') == 3
    assert '<svg viewBox="0 0 34 112"' in state.html and "3 samples of" in state.html
    assert 'class="estimate" data-fits="yes"' in state.html
    assert list((tmp_path / "checks").iterdir()) == [], "its folder goes with it"


def test_what_is_selected_is_written_first(
    checks_with: Callable[..., TrainingChecks], config: TrainingConfig
) -> None:
    checks = checks_with("print(run); print((run / 'config.json').read_text()); sys.exit(7)")

    def write(folder: Path) -> list[DataSource]:
        return [DataSource(str(folder / "train.json"))]

    checks.start("ann", config, write)
    assert ended(checks).words == "The check ended with exit status 7 and without a report: }"

    def refuse(folder: Path) -> list[DataSource]:
        raise LogError("The selection holds no example.")

    checks.start("ann", config, refuse)
    assert ended(checks) == CheckState("failed", "The selection holds no example.")


def test_it_ends_when_it_is_stopped_or_begun_anew_or_left(
    checks_with: Callable[..., TrainingChecks], config: TrainingConfig, tmp_path: Path
) -> None:
    checks = checks_with(SLEEPS)
    running = pid_in(tmp_path / "checks")
    checks.start("ann", config, None)
    until(lambda: running() > 0)
    first = running()
    checks.start("ann", config, None)
    until(lambda: is_gone(first))
    until(lambda: running() not in (0, first))
    second = running()
    assert checks.state("ann").phase == "running"
    checks.stop("ann")
    until(lambda: is_gone(second))
    assert ended(checks).phase == "stopped"

    left = checks_with(SLEEPS)
    left.start("ann", config, None)
    until(lambda: running() > 0 and left.state("ann").phase == "running")
    third = running()
    left._checks["ann"]._left_seconds = 0.1  # from now on: its process may have taken longer to begin
    until(lambda: is_gone(third))  # nobody asked how it goes
    assert ended(left).phase == "stopped"


def test_it_ends_with_the_page(
    checks_with: Callable[..., TrainingChecks], config: TrainingConfig, tmp_path: Path
) -> None:
    checks = checks_with(SLEEPS)
    checks.start("ann", config, None)
    checks.start("bob", config, None)
    until(lambda: len(list((tmp_path / "checks").glob("check-*/pid"))) == 2)
    checks.close()
    assert list((tmp_path / "checks").iterdir()) == []


def test_why_there_is_no_report_is_told(
    checks_with: Callable[..., TrainingChecks], config: TrainingConfig
) -> None:
    status = '{"phase": "failed", "words": "There is no such model."}'
    told = f"(run / 'status.json').write_text({status!r}); sys.exit(1)"
    for text, words in {
        told: "There is no such model.",
        "os.kill(os.getpid(), 9)": "The check was killed (signal 9), most often because memory ran out; "
        "close something and try again.",
        "(run / 'check.json').write_text('{}')": "The check ended with exit status 0 and without a report.",
    }.items():
        checks = checks_with(text)
        checks.start("ann", config, None)
        assert ended(checks) == CheckState("failed", words)
    assert checks.state("bob") == CheckState()
