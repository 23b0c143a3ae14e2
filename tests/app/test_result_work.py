"""Long work on a result in a process of its own: its progress, its end in words, its stop, and secrets that stay so."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.hub_push import without_folder
from app.result_work import Order, ResultWork, WorkRunning, environment_of, failure
from tests.app.test_worker_process import wait_for


@pytest.fixture
def work() -> Iterator[ResultWork]:
    made = ResultWork()
    yield made
    made.stop(180)


def order(source: str, **more: Any) -> Order:
    values: dict[str, Any] = {"environment": dict(os.environ)} | more
    return Order("job", "merge", "Merging it", (sys.executable, "-c", source), **values)


def ended(work: ResultWork) -> tuple[str, str]:
    wait_for(lambda: work.state.phase != "running")
    return work.state.phase, work.state.words


def test_it_tells_how_far_it_is_and_what_it_says_at_its_end(work: ResultWork, tmp_path: Path) -> None:
    go = tmp_path / "go"
    source = (
        "import os, sys, time\nprint('half way', flush=True)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.02)\nprint('Wrote it.')"
    )
    done = "Wrote it."
    work.start(
        order(
            source,
            progress=lambda: 0.5,
            said=lambda output: output.strip() or None,
            done=lambda output: output.strip()[-len(done) :],
        )
    )
    wait_for(lambda: work.state.words == "half way")
    assert work.state.fraction == 0.5
    with pytest.raises(WorkRunning, match=r"half way.*not finished"):
        work.start(order("pass"))
    go.touch()
    assert ended(work) == ("done", done) and work.state.fraction == 1.0


def test_why_it_failed_is_its_last_line_without_the_secret(work: ResultWork) -> None:
    tidied: list[bool] = []
    source = "import sys; print('reading'); sys.exit('The token hf_secret may not write')"
    work.start(order(source, secret="hf_secret", tidy=tidied.append))
    assert ended(work) == ("failed", "Merging it failed: The token ••• may not write.")
    wait_for(lambda: tidied == [False])


def test_a_process_that_is_killed_is_told_as_such(work: ResultWork) -> None:
    work.start(order("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert "killed (signal 9)" in ended(work)[1]
    assert "said nothing" in failure("It", -signal.SIGTERM, "\n \n")


def test_a_program_that_cannot_be_started_is_told(work: ResultWork) -> None:
    work.start(Order("job", "push", "Uploading", ("/no/such/program",), dict(os.environ)))
    assert ended(work) == ("failed", "Uploading could not be started: No such file or directory.")


def test_a_stop_ends_it_and_what_it_has_half_written_goes(work: ResultWork, tmp_path: Path) -> None:
    half = tmp_path / "half"
    source = (
        f"import pathlib, signal, time\nhalf = pathlib.Path({str(half)!r})\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # who runs the tests may not be heeding it
        "try:\n    half.touch(); time.sleep(1000)\nfinally:\n    half.unlink()"
    )
    work.start(order(source))
    wait_for(half.exists)
    work.stop(180)
    assert ended(work) == ("stopped", "Merging it: stopped, and nothing of it was kept.")
    assert not half.exists()
    work.start(order("import time; time.sleep(0.7)"))
    assert ended(work)[0] == "done", "a stop is of one work, not of the next"


def test_the_pages_secrets_do_not_reach_it() -> None:
    given = {"LLAVA_LOOP_AUTH": "eve:secret", "PATH": "/bin", "HF_HUB_DISABLE_PROGRESS_BARS": "0"}
    made = environment_of(given, HF_TOKEN="t")
    assert "LLAVA_LOOP_AUTH" not in made and made["PATH"] == "/bin" and made["HF_TOKEN"] == "t"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "http://hub cannot be reached (refused); the folder /runs/a/hub is whole, run the command again once "
            "there is a connection.",
            "http://hub cannot be reached (refused); try again.",
        ),
        (
            "http://hub answered 500 to the upload of a/b: oops. The folder /r/hub is whole; run the command again.",
            "http://hub answered 500 to the upload of a/b: oops; try again.",
        ),
        ("There is no room.", "There is no room."),
    ],
)
def test_an_upload_that_failed_names_a_remedy_that_the_page_has(said: str, told: str) -> None:
    assert without_folder(said) == told
