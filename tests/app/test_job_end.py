"""How a job ended, in words that say what happened and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.job_end import Ending, step_of
from model.training.run_folder import RunFolder
from model.training.status import RunStatus


def ending(
    status: RunStatus | None = None, exit_status: int | None = None, *, asked: bool = False, late: bool = False,
    step: int | None = None, last_line: str = "",
) -> tuple[str, str]:  # fmt: skip
    return Ending(status, exit_status, asked, late, step, last_line).told()


TRAINING = RunStatus(phase="training")


@pytest.mark.parametrize("exit_status", [0, 3, 1, -9, None])
@pytest.mark.parametrize("asked", [True, False])
def test_what_the_process_wrote_as_its_end_is_believed(exit_status: int | None, asked: bool) -> None:
    done = ending(RunStatus(phase="done", words="Trained."), exit_status, asked=asked)
    assert done == ("done", "Trained.")
    stopped = ending(RunStatus(phase="stopped", words="Stopped at step 4."), exit_status, asked=asked, step=4)
    assert stopped == ("stopped", "Stopped at step 4. Resume goes on at step 4.")
    failed = ending(RunStatus(phase="failed", words="The loss became NaN"), exit_status, asked=asked, step=8)
    assert failed == ("failed", "The loss became NaN. Resume goes on at step 8.")


def test_what_the_process_said_of_resuming_is_not_said_twice() -> None:
    words = "Stopped at step 4, which is saved; Resume goes on there."
    assert ending(RunStatus(phase="stopped", words=words), 3, step=4) == ("stopped", words)


@pytest.mark.parametrize(
    ("exit_status", "words"),
    [
        (-9, "It was killed (signal 9), perhaps because the machine ran out of memory."),
        (-11, "It was ended by SIGSEGV."),
        (-64, "It was ended by SIGRTMAX."),
        (-99, "It was ended by signal 99."),
        (0, "It ended with exit status 0."),
        (2, "It ended with exit status 2."),
        (
            None,
            "Its process is gone and left no word, perhaps because it was killed or the machine was restarted.",
        ),
    ],
)
def test_a_process_that_left_no_word_is_failed(exit_status: int | None, words: str) -> None:
    again = "Resume begins again: no checkpoint was saved."
    for status in (None, TRAINING, RunStatus(phase="starting")):
        assert ending(status, exit_status) == ("failed", f"{words} {again}")
    named = f"{words.removesuffix('.')}; the last line of its log: OSError: no. Resume goes on at step 3."
    assert ending(TRAINING, exit_status, last_line="OSError: no", step=3) == ("failed", named)


@pytest.mark.parametrize(
    ("exit_status", "late", "words"),
    [
        (-9, True, "It had not ended 30 seconds after it was asked to, and was killed."),
        (None, True, "It had not ended 30 seconds after it was asked to, and was killed."),
        (-15, False, "It was stopped before it could save anything new."),
        (None, False, "It was stopped before it could save anything new."),
        (-9, False, "It was asked to stop and was ended by SIGKILL."),
        (1, False, "It was asked to stop and ended with exit status 1."),
    ],
)
def test_what_was_asked_to_stop_is_stopped_and_how_is_told(
    exit_status: int | None, late: bool, words: str
) -> None:
    told = ending(TRAINING, exit_status, asked=True, late=late, step=5)
    assert told == ("stopped", f"{words} Resume goes on at step 5.")


def test_the_end_of_the_log_and_the_newest_whole_checkpoint_are_looked_for(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    nothing = Ending.of(folder, 1, asked=False, late=False)
    assert (nothing.status, nothing.step, nothing.last_line) == (None, None, "")
    folder.log_file.write_text("first\n" + "x" * 20_000 + "\nlast line\n\n  \n")
    folder.write_status(TRAINING)
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "complete").touch()
    (tmp_path / "checkpoint-30").mkdir()
    found = Ending.of(folder, 1, asked=False, late=False)
    assert found.last_line == "last line" and found.step == 10 == step_of(folder)
    assert found.status is not None and found.status.phase == "training"
