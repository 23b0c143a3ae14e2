"""What the page knows about its worker, near or far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from app import worker_status
from app.worker_client import WorkerError, WorkerHealth, WorkerUnreachable
from app.worker_process import WorkerState
from app.worker_status import StatusWatch, WorkerStatus

READY = WorkerHealth("ready", model="demo", about="It knows shapes.")


@dataclass
class Worker:
    said: WorkerHealth | WorkerError = field(default_factory=lambda: READY)
    times_listed: int = 0

    def health(self) -> WorkerHealth:
        if isinstance(self.said, WorkerError):
            raise self.said
        return self.said

    def models(self) -> tuple[str, ...]:
        self.times_listed += 1
        return ("demo",)


@dataclass
class Process:
    state: WorkerState


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_status, "POLL_SECONDS", 0.01)


def _until(watch: StatusWatch, what: Callable[[WorkerStatus], bool]) -> WorkerStatus:
    deadline = time.monotonic() + 10
    while not what(watch.now):
        assert time.monotonic() < deadline, watch.now
        time.sleep(0.01)
    return watch.now


def test_a_far_worker_is_ready_once_it_says_so_and_its_models_are_listed_once() -> None:
    worker = Worker(WorkerHealth("loading", fraction=0.4))
    watch = StatusWatch(worker, None)
    watch.start()
    loading = _until(watch, lambda status: status.words == "The model is loading, 40%")
    assert loading.waits and not loading.ready
    worker.said = READY
    ready = _until(watch, lambda status: status.ready)
    assert (ready.words, ready.models, ready.about) == ("Ready", ("demo",), "It knows shapes.")
    time.sleep(0.05)
    assert worker.times_listed == 1
    watch.stop()


def test_a_far_worker_that_is_gone_or_failed_is_said_in_words() -> None:
    worker = Worker(WorkerUnreachable("http://w", "refused"))
    watch = StatusWatch(worker, None)
    watch.start()
    gone = _until(watch, lambda status: "cannot be reached" in status.words)
    assert not gone.ready and not gone.waits
    worker.said = WorkerHealth("failed", reason="config.json is missing")
    failed = _until(watch, lambda status: "config.json is missing" in status.words)
    assert not failed.ready and not failed.waits
    watch.stop()


def test_a_near_worker_is_told_by_its_process_at_once() -> None:
    process = Process(WorkerState("loading", 0.3))
    watch = StatusWatch(Worker(), process)
    assert watch.now.words == "The model is loading, 30%" and watch.now.waits
    process.state = WorkerState("ready")
    watch.start()
    assert _until(watch, lambda status: status.ready).words == "Ready"
    process.state = WorkerState("restarting", reason="it was killed", restart_in_seconds=4)
    assert watch.now.words == "The model is restarting in 4 s: it was killed" and watch.now.waits
    process.state = WorkerState("failed", reason="broken")
    assert not watch.now.waits and "broken" in watch.now.words
    watch.stop()


def test_the_watch_outlives_what_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Worker):
        def models(self) -> tuple[str, ...]:
            self.times_listed += 1
            if self.times_listed == 1:
                raise ZeroDivisionError("oops")
            return ("demo",)

    watch = StatusWatch(Odd(), None)
    watch.start()
    _until(watch, lambda status: status.ready)
    watch.stop()
    assert "oops" in caplog.text
