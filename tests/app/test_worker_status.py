"""What the page knows about its worker, near or far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from app import worker_status
from app.worker_client import ServerFeatures, WorkerError, WorkerHealth, WorkerUnreachable
from app.worker_process import WorkerState
from app.worker_status import StatusWatch, WorkerStatus

READY = WorkerHealth("ready", model="demo", about="It knows shapes.", models=("demo",))


@dataclass
class Worker:
    said: WorkerHealth | WorkerError = field(default_factory=lambda: READY)

    def health(self) -> WorkerHealth:
        if isinstance(self.said, WorkerError):
            raise self.said
        return self.said


@dataclass
class Process:
    state: WorkerState


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_status, "POLL_SECONDS", 0.01)


def _until(watch: StatusWatch, what: Callable[[WorkerStatus], bool]) -> WorkerStatus:
    deadline = time.monotonic() + 180
    while not what(watch.now):
        assert time.monotonic() < deadline, watch.now
        time.sleep(0.01)
    return watch.now


def test_a_far_worker_is_ready_once_it_says_so_and_an_adapter_that_comes_is_listed() -> None:
    worker = Worker(WorkerHealth("loading", fraction=0.4))
    watch = StatusWatch(worker, None)
    watch.start()
    loading = _until(watch, lambda status: status.words == "The model is loading, 40%")
    assert loading.waits and not loading.ready
    worker.said = READY
    ready = _until(watch, lambda status: status.ready)
    assert (ready.words, ready.models, ready.about) == ("Ready", ("demo",), "It knows shapes.")
    worker.said = replace(READY, models=("demo", "kind"))
    _until(watch, lambda status: status.models == ("demo", "kind"))
    watch.stop()


def test_what_the_server_lacks_is_told_once_it_is_known() -> None:
    worker = Worker(WorkerHealth("loading"))
    watch = StatusWatch(worker, None)
    assert watch.now.lacks == ()
    watch.start()
    assert _until(watch, lambda status: status.waits and status.health is not None).lacks == ()
    worker.said = READY
    assert _until(watch, lambda status: status.ready).lacks == ("prompt", "adapters")
    worker.said = replace(READY, features=ServerFeatures(seed=False, prompt=True, adapters=True))
    assert _until(watch, lambda status: "seed" in status.lacks).lacks == ("seed",)
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


def test_a_paused_worker_waits_and_its_words_are_shown() -> None:
    watch = StatusWatch(
        Worker(), Process(WorkerState("paused", reason="The model rests while “x” is trained"))
    )
    assert (watch.now.words, watch.now.waits, watch.now.paused, watch.now.ready) == (
        "The model rests while “x” is trained", True, True, False,
    )  # fmt: skip


def test_the_watch_outlives_what_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Worker):
        times_asked: int = 0

        def health(self) -> WorkerHealth:
            self.times_asked += 1
            if self.times_asked == 1:
                raise ZeroDivisionError("oops")
            return READY

    watch = StatusWatch(Odd(), None)
    watch.start()
    _until(watch, lambda status: status.ready)
    watch.stop()
    assert "oops" in caplog.text


def test_what_the_worker_before_said_is_not_shown_for_the_next() -> None:
    process = Process(WorkerState("ready"))
    watch = StatusWatch(Worker(), process)
    watch.start()
    _until(watch, lambda status: status.ready)
    watch.stop()
    process.state = WorkerState("ready", num_restarts=1)  # perhaps with another model: it must be asked first
    assert not watch.now.ready and watch.now.waits
