"""The worker's life: how it starts, fails to, breaks and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import model.worker
from app.worker_child import hold_a_free_port
from app.worker_client import (
    ChatRequest,
    Piece,
    WorkerClient,
    WorkerDied,
    WorkerError,
    WorkerLoading,
    WorkerRefused,
    WorkerUnreachable,
)
from app.worker_process import END_SECONDS, RestartPace, WorkerOptions, WorkerProcess
from conversations.messages import Message
from model.door.readiness import Readiness
from model.serving import ModelChoice
from model.worker import BROKEN_STATUS, read_settings, run
from tests.model.asking_worker import ROOT, SLOW, started, wait_for
from tests.model.door.scripted_engine import ScriptedEngine, served


def test_a_killed_worker_is_told_in_mid_answer_and_the_next_one_answers(tmp_path: Path) -> None:
    """With an engine that plays a script: how a death is seen does not depend on the network."""
    held = tmp_path / "held"
    worker = WorkerProcess(
        WorkerOptions(),
        tmp_path / "log",
        pace=RestartPace(first_seconds=0.1),
        command=lambda port: [sys.executable, "-m", "tests.model.door.scripted_engine", str(port), str(held)],
    )
    worker.start()
    try:
        assert worker.wait_until_ready(300).phase == "ready"
        client = WorkerClient(worker.base_url, worker.token)
        events = started(client, "Count")
        assert worker.process_id is not None
        held.touch()
        os.kill(worker.process_id, signal.SIGKILL)
        with pytest.raises(WorkerDied):
            list(events)
        wait_for(lambda: worker.state.num_restarts >= 1 and worker.state.phase in ("loading", "starting"))
        seen_loading = threading.Event()

        def back() -> bool:
            try:
                started(client, "Count").close()  # type: ignore[attr-defined]
            except WorkerLoading:
                seen_loading.set()
                held.unlink(missing_ok=True)
            except (WorkerUnreachable, WorkerDied):
                pass  # not listening yet
            else:
                return True
            return False

        wait_for(back)
        assert seen_loading.is_set()
    finally:
        worker.stop()


def test_what_a_worker_gives_itself_to_end_is_less_than_the_page_gives_it() -> None:
    assert model.worker.FINISH_SECONDS < model.worker.LEAVE_SECONDS < 10 < END_SECONDS


def test_on_sigterm_running_answers_end_with_a_reason(tmp_path: Path) -> None:
    """With an engine that plays a script, and without an end: how the server ends does not depend on the network."""
    with running(tmp_path, "tests.model.door.scripted_engine", "PORT") as (child, client):
        events = started(client, "Count")
        child.terminate()
        with pytest.raises(WorkerRefused, match="shutting down") as refused:
            list(events)
        assert refused.value.code == "shutting_down"
        assert child.wait(300) == 0


@contextmanager
def running(tmp_path: Path, *command: str) -> Iterator[tuple[subprocess.Popen[bytes], WorkerClient]]:
    """A worker's process that is ready, started by `python -m` with these words and its port behind them."""
    port, kept = hold_a_free_port()
    words = [str(port) if word == "PORT" else word for word in command]
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stdout=log, stderr=log)
    try:
        client = WorkerClient(f"http://127.0.0.1:{port}")
        wait_for(lambda: _ready(client))
        yield child, client
    finally:
        child.kill()
        child.wait()
        kept.close()


def test_on_sigterm_a_reader_is_told_and_the_process_leaves_though_a_step_takes_long(
    checkpoint_folder: Path, tmp_path: Path
) -> None:
    """The whole worker, with less patience than in earnest and a step of an hour."""
    with running(tmp_path, "tests.model.slow_worker", str(checkpoint_folder), "PORT") as (child, client):
        question = (Message("user", ("Count",)),)
        events = client.stream(ChatRequest(question, temperature=0.0, max_new_tokens=SLOW))
        assert any(isinstance(event, Piece) for event in events)
        child.terminate()
        with pytest.raises(WorkerRefused, match="shutting down") as refused:
            list(events)
        assert refused.value.code == "shutting_down"
        assert child.wait(300) == 0
    assert "ended" in (tmp_path / "log").read_text().splitlines()[-1]


def test_on_sigterm_the_process_leaves_whatever_hangs(tmp_path: Path) -> None:
    with running(tmp_path, "tests.model.door.scripted_engine", "PORT", "stuck") as (child, client):
        started(client, "Count").close()  # type: ignore[attr-defined]
        child.terminate()
        assert child.wait(300) == 0
    assert "cut short" in (tmp_path / "log").read_text()


def _ready(client: WorkerClient) -> bool:
    try:
        return client.health().state == "ready"
    except WorkerError:
        return False  # not listening yet


def test_the_door_imports_no_torch() -> None:
    program = "import sys, model.worker; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=400, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_a_port_that_is_taken_is_told_in_words(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(read_settings(["--port", str(taken.getsockname()[1])], {})) == 2
    assert "choose another --port" in caplog.text


def test_a_folder_that_is_not_there_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from model.door.readiness import Readiness; from model.serving import *\n"
        "readiness = Readiness('x'); load_in_background(ModelChoice(sys.argv[1]), readiness).join()\n"
        "print(readiness.health()['reason'], 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "nothing")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=True)
    assert "There is no folder" in done.stdout and done.stdout.split()[-1] == "False"


def test_a_broken_engine_ends_the_worker_with_a_status_and_the_reason_as_last_words(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def load(choice: ModelChoice, readiness: Readiness) -> None:
        readiness.ready(served(ScriptedEngine()))
        threading.Timer(0.1, readiness.broken, ("The engine broke with RuntimeError: CUDA error.",)).start()

    monkeypatch.setattr(model.worker, "load_in_background", load)
    caplog.set_level("INFO")
    assert run(read_settings(["--port", "0"], {})) == BROKEN_STATUS
    assert "CUDA error" in caplog.records[-1].getMessage()


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1:8001", 200), ("evil.example", 403)])
def test_a_local_worker_without_a_token_answers_to_local_names_only(
    monkeypatch: pytest.MonkeyPatch, host: str, status: int
) -> None:
    answers: list[int] = []

    def load(choice: ModelChoice, readiness: Readiness) -> None:
        def ask() -> None:
            url = f"http://127.0.0.1:{port}/health"
            answers.append(httpx.get(url, headers={"Host": host}, trust_env=False, timeout=180).status_code)
            readiness.broken("enough")

        threading.Thread(target=ask).start()

    port, kept = hold_a_free_port()
    monkeypatch.setattr(model.worker, "load_in_background", load)
    with kept:
        run(read_settings(["--port", str(port), "--reserved-port"], {}))
    assert answers == [status]
