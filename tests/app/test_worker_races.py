"""What happens to the local worker in one and the same moment."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from app import worker_process
from app.worker_process import WorkerOptions, WorkerProcess, WorkerState
from tests.app.test_worker_process import FAST, healthy, phase_of, program, wait_for


def test_what_the_worker_before_still_says_does_not_take_the_place_of_a_restart(tmp_path: Path) -> None:
    """Asked for in the very moment in which the one before is heard to be ready."""
    told: list[str] = []

    class Heard(WorkerProcess):
        def _tell(self, state: WorkerState) -> None:
            told.append(state.phase)
            super()._tell(state)

    def on_ready(options: WorkerOptions) -> None:
        if worker.state.num_restarts == 0:
            worker.restart()

    command = healthy(tmp_path / "fault")
    worker = Heard(WorkerOptions(), tmp_path / "log", pace=FAST, command=command, on_ready=on_ready)
    worker.start()
    try:
        wait_for(lambda: worker.state.num_restarts == 1 and worker.state.phase == "ready")
    finally:
        worker.stop()
    assert told.count("ready") == 1, told


def test_a_child_that_is_just_being_started_ends_with_the_page_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the machine is busy, the start of a process may take longer than the end of the page waits for it."""
    real, stopping = worker_process.spawn, threading.Thread(target=lambda: worker.stop())

    def slow(*given: Any, **more: Any) -> subprocess.Popen[bytes]:
        stopping.start()
        stopping.join(2.0)
        return real(*given, **more)

    monkeypatch.setattr(worker_process, "spawn", slow)
    worker = WorkerProcess(WorkerOptions(), tmp_path / "log", pace=FAST, command=program("input()"))
    worker.start()
    wait_for(lambda: phase_of(worker) == "stopped")
    stopping.join()
    assert worker.process_id is None
