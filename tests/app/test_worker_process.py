"""The watching of the local worker: with the real worker where it matters, with small programs where that is enough."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from app.worker_child import ROOT, child_environment, death_in_words
from app.worker_client import WorkerClient, WorkerUnauthorized, WorkerUnreachable
from app.worker_process import RestartPace, WorkerOptions, WorkerProcess

FAST = RestartPace(first_seconds=0.1, longest_seconds=0.4, steady_seconds=60, poll_seconds=0.02)
PAUSING = RestartPace(first_seconds=3000, longest_seconds=3000, poll_seconds=0.02)
"""Once its child has died, a worker stays as it is until somebody restarts it."""


def wait_for(condition: Callable[[], bool], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


def phase_of(worker: WorkerProcess) -> str:
    return worker.state.phase


def program(source: str) -> Callable[[int], list[str]]:
    return lambda port: [sys.executable, "-c", source, str(port)]


def test_a_missing_checkpoint_is_told_and_the_worker_stays_up_to_tell_it(tmp_path: Path) -> None:
    """The real worker: its start, its secret, its death, its restart at the same address, its end."""
    worker = WorkerProcess(
        WorkerOptions(str(tmp_path / "nothing")), tmp_path / "var" / "worker.log", pace=PAUSING
    )
    assert phase_of(worker) == "starting"
    worker.start()
    try:
        state = worker.wait_until_ready(300)
        assert state.phase == "failed" and "nothing" in (state.reason or "")
        assert WorkerClient(worker.base_url, worker.token).health().state == "failed"
        with pytest.raises(WorkerUnauthorized):
            WorkerClient(worker.base_url, "guessed").models()
        first = worker.process_id
        assert first is not None
        command_line = Path(f"/proc/{first}/cmdline")
        if command_line.exists():
            assert worker.token.encode() not in command_line.read_bytes()

        os.kill(first, signal.SIGKILL)
        wait_for(lambda: worker.state.phase == "restarting")
        assert worker.state.num_restarts == 1 and "killed (signal 9)" in (worker.state.reason or "")
        worker.restart()
        wait_for(lambda: worker.process_id not in (None, first))
    finally:
        worker.stop()
    assert phase_of(worker) == "stopped" and worker.process_id is None
    assert "listening at" in (tmp_path / "var" / "worker.log").read_text()
    with pytest.raises(WorkerUnreachable):
        WorkerClient(worker.base_url).health()


def test_a_worker_that_keeps_dying_is_restarted_with_a_growing_pause(tmp_path: Path) -> None:
    source = "import time; print('begun', time.monotonic()); raise SystemExit(3)"
    worker = WorkerProcess(WorkerOptions(), tmp_path / "log", pace=FAST, command=program(source))
    worker.start()
    wait_for(lambda: worker.state.num_restarts >= 5)
    state = worker.state
    worker.stop()
    assert "exit status 3" in (state.reason or "") and "begun" in (state.reason or "")
    begun = [float(line.split()[1]) for line in (tmp_path / "log").read_text().splitlines()]
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    assert pauses[1] > 0.2 and pauses[2] > 0.4 and pauses[3] > 0.4


HEALTHY = """
import http.server, json, os, sys, time
while os.path.exists(sys.argv[2] + ".held"):
    time.sleep(0.02)
class Door(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        state = "failed" if os.path.exists(sys.argv[2]) else "ready"
        body = json.dumps({"state": state, "fraction": 1.0, "reason": "broken weights"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
class Server(http.server.ThreadingHTTPServer):
    allow_reuse_port = True
print("listening", flush=True)
Server(("127.0.0.1", int(sys.argv[1])), Door).serve_forever()
"""


def healthy(fault: Path) -> Callable[[int], list[str]]:
    """A small server that is ready, or failed while there is a file `fault`; it does not begin while there is one with
    ".held" behind that name."""
    return lambda port: [sys.executable, "-c", HEALTHY, str(port), str(fault)]


def test_what_a_person_should_know_of_a_model_stands_in_the_terminal_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = (
        "2026-01-01 10:00:00,123 INFO model.checkpoint.look: The weights' keys are those of llava-hf.",
        "2026-01-01 10:00:01,123 INFO model.checkpoint.download: Downloading a/b: 1 of 2 GB, 3 min left",
        "2026-01-01 10:00:02,123 WARNING model.checkpoint.base_numbers: a was made on b",
        "2026-01-01 10:00:03,123 INFO model.worker: listening at http://127.0.0.1:1",
        "2026-01-01 10:00:04,123 INFO httpx: GET http://127.0.0.1:1 model.checkpoint: x",
        "    raise CheckpointError('no prefix')",
        "2026-01-01 10:00:05,123 INFO model.serving: demo is ready after 1.5 s",
    )
    source = f"print({chr(10).join(lines)!r}, flush=True)"
    worker = WorkerProcess(WorkerOptions(), tmp_path / "log", pace=PAUSING, command=program(source))
    worker.start()
    wait_for(lambda: worker.state.phase == "restarting")  # all that it said is written by then
    worker.stop()
    said = capfd.readouterr().err.splitlines()
    assert said == [lines[place].split(": ", 1)[1] for place in (0, 1, 2, 6)]
    assert (tmp_path / "log").read_text().splitlines() == list(lines)


def test_a_failed_worker_can_be_restarted_without_restarting_the_page(tmp_path: Path) -> None:
    fault = tmp_path / "fault"
    fault.touch()
    worker = WorkerProcess(WorkerOptions(), tmp_path / "log", pace=FAST, command=healthy(fault))
    worker.start()
    try:
        assert worker.wait_until_ready(180).phase == "failed"
        first = worker.process_id
        fault.rename(tmp_path / "fault.held")
        worker.restart()
        assert phase_of(worker) == "starting" and worker.state.reason is None
        (tmp_path / "fault.held").unlink()
        assert worker.wait_until_ready(180).phase == "ready"
        assert worker.process_id not in (None, first) and worker.state.num_restarts == 1
        worker.restart()
        wait_for(lambda: worker.state.num_restarts == 2 and worker.state.phase == "ready")
    finally:
        worker.stop()
    worker.restart()
    assert phase_of(worker) == "stopped" and worker.process_id is None


def test_a_restart_ends_the_pause(tmp_path: Path) -> None:
    worker = WorkerProcess(
        WorkerOptions(), tmp_path / "log", pace=PAUSING, command=program("raise SystemExit(1)")
    )
    worker.start()
    wait_for(lambda: worker.state.phase == "restarting")
    worker.restart()
    wait_for(lambda: worker.state.num_restarts == 2)
    worker.stop()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP on this system")
def test_a_worker_that_hangs_is_ended_and_started_anew_with_that_reason(tmp_path: Path) -> None:
    patient = replace(
        PAUSING, check_seconds=0.05, hung_seconds=600.0
    )  # a machine may be slow while it is well
    worker = WorkerProcess(
        WorkerOptions(), tmp_path / "log", pace=patient, command=healthy(tmp_path / "fault")
    )
    worker.start()
    try:
        assert worker.wait_until_ready(180).phase == "ready"
        hung = worker.process_id
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        worker._pace = replace(patient, hung_seconds=1.0)
        wait_for(lambda: worker.state.phase == "restarting")
        assert "did not answer for 1 seconds" in (worker.state.reason or "")
        assert not _alive(hung)
        worker._pace = patient
        worker.restart()
        assert worker.wait_until_ready(180).phase == "ready"
    finally:
        worker.stop()


def test_while_it_waits_the_state_counts_down(tmp_path: Path) -> None:
    worker = WorkerProcess(
        WorkerOptions(), tmp_path / "log", pace=PAUSING, command=program("raise SystemExit(1)")
    )
    worker.start()
    wait_for(lambda: worker.state.phase == "restarting")
    earlier = worker.state.restart_in_seconds
    time.sleep(0.1)
    assert 2000 < worker.state.restart_in_seconds < earlier <= 3000
    worker.stop()  # which does not wait for the end of the pause
    assert phase_of(worker) == "stopped"


def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    worker = WorkerProcess(
        WorkerOptions(), tmp_path / "log", pace=FAST, command=lambda _: ["/no/such/program"]
    )
    worker.start()
    wait_for(lambda: worker.state.num_restarts >= 1)
    reason = worker.state.reason
    worker.stop()
    assert "could not be started" in (reason or "") and "/no/such/program" in (reason or "")


def test_a_worker_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    source = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)"
    )
    worker = WorkerProcess(WorkerOptions(), tmp_path / "log", pace=FAST, command=program(source))
    worker.start()
    wait_for(lambda: (tmp_path / "log").exists() and "deaf" in (tmp_path / "log").read_text())
    worker.stop(timeout_seconds=0.3)
    assert worker.process_id is None


def test_the_worker_ends_when_the_page_is_killed(tmp_path: Path) -> None:
    """A stand-in for the page starts the real worker (no checkpoint needed to see it die) and is killed."""
    page = (
        "import sys, time; from pathlib import Path; from app.worker_process import *\n"
        f"worker = WorkerProcess(WorkerOptions({str(tmp_path / 'nothing')!r}), Path({str(tmp_path / 'log')!r}))\n"
        "worker.start()\n"
        "while worker.process_id is None: time.sleep(0.02)\n"
        "print(worker.process_id, flush=True); time.sleep(1000)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", page], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    wait_for(lambda: (tmp_path / "log").exists() and "listening" in (tmp_path / "log").read_text())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not _alive(child))


def _alive(process_id: int) -> bool:
    """Whether it runs; one that has ended but that nobody has waited for (state Z) does not."""
    stat = Path(f"/proc/{process_id}/stat")
    if Path("/proc/self/stat").exists():
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_page_s_secrets_stay_with_the_page() -> None:
    environment = {
        "PATH": "/bin",
        "LLAVA_LOOP_AUTH": "eve:secret",
        "LLAVA_LOOP_THREADS": "2",
        "OMP_WAIT_POLICY": "ACTIVE",
    }
    given = child_environment(environment, "token")
    assert "LLAVA_LOOP_AUTH" not in given and given["LLAVA_LOOP_THREADS"] == "2" and given["PATH"] == "/bin"
    assert given["LLAVA_LOOP_WORKER_TOKEN"] == "token" and given["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-9, "ran out of memory"),
        (-11, "SIGSEGV"),
        (1, "exit status 1; the last line of its log: boom"),
        (-99, "signal 99"),
    ],
)
def test_a_death_is_told_in_words(status: int, words: str) -> None:
    assert words in death_in_words(status, "boom")


def test_a_paused_worker_is_away_says_why_and_comes_back_when_nobody_wants_its_place(tmp_path: Path) -> None:
    worker = WorkerProcess(WorkerOptions(), tmp_path / "log", pace=FAST, command=healthy(tmp_path / "fault"))
    worker.start()
    try:
        assert worker.wait_until_ready(180).phase == "ready"
        first, step = worker.process_id, 3
        worker.pause("run", lambda: f"Training, step {step}")
        assert phase_of(worker) == "paused"
        worker.pause("other", lambda: "Another one")
        wait_for(lambda: worker.process_id is None)
        step = 4
        assert worker.state.reason == "Training, step 4", "told afresh"
        worker.restart()
        worker.go_on("run")
        time.sleep(0.3)
        assert (
            phase_of(worker) == "paused"
            and worker.process_id is None
            and worker.state.reason == "Another one"
        )
        worker.go_on("other")
        worker.go_on("other")
        assert worker.wait_until_ready(180).phase == "ready"
        assert worker.process_id not in (None, first)
    finally:
        worker.stop()


def test_a_worker_may_be_paused_before_it_is_started_and_be_stopped_while_it_is_paused(
    tmp_path: Path,
) -> None:
    worker = WorkerProcess(WorkerOptions(), tmp_path / "log", pace=FAST, command=healthy(tmp_path / "fault"))
    worker.pause("run", lambda: "Training")
    worker.start()
    time.sleep(0.2)
    assert phase_of(worker) == "paused" and worker.process_id is None
    worker.stop()
    assert phase_of(worker) == "stopped" and worker.process_id is None
