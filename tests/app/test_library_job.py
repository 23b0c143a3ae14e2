"""Long work, one at a time, that can be looked at and stopped."""

from __future__ import annotations

import threading
import time

import pytest

from app.library_job import Job, JobRunning, JobState, Report
from conversations.errors import DiskFull


def ended(job: Job) -> JobState:
    end = time.monotonic() + 180
    while job.state.phase == "running":
        assert time.monotonic() < end
        time.sleep(0.01)
    return job.state


def test_it_tells_how_far_it_is_and_how_it_ended() -> None:
    job, seen, go_on = Job(), threading.Event(), threading.Event()

    def work(report: Report) -> str:
        report(0.5, "half")
        seen.set()
        assert go_on.wait(180)
        return "all of it"

    job.start("export", "The export", work, when_stopped="stopped")
    assert seen.wait(180)
    assert (job.state.phase, job.state.fraction, job.state.words) == ("running", 0.5, "half")
    with pytest.raises(JobRunning, match="The export is not finished"):
        job.start("import", "The import", work, when_stopped="")
    go_on.set()
    assert (ended(job).phase, job.state.fraction, job.state.words) == ("done", 1.0, "all of it")
    job.start("import", "The import", lambda report: "more", when_stopped="")
    assert ended(job).told() | {"number": 0} == {
        "number": 0, "kind": "import", "name": "The import", "phase": "done", "fraction": 1.0, "words": "more",
    }  # fmt: skip


def test_it_stops_where_it_reports() -> None:
    job = Job()

    def work(report: Report) -> str:
        while True:
            report(None, "on and on")
            time.sleep(0.01)

    job.start("export", "The export", work, when_stopped="Nothing was kept.")
    job.stop(180)
    assert (ended(job).phase, job.state.words) == ("stopped", "Nothing was kept.")


@pytest.mark.parametrize(
    ("error", "words"), [(DiskFull("The disk is full."), "The disk is full."), (KeyError("x"), "KeyError")]
)
def test_what_went_wrong_is_said(error: Exception, words: str) -> None:
    job = Job()

    def work(report: Report) -> str:
        raise error

    job.start("export", "The export", work, when_stopped="")
    assert ended(job).phase == "failed" and words in job.state.words
