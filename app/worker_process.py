"""Starts the local worker as a child process, watches it and restarts it when it dies.

The child listens at a loopback port that this process holds for it (so the address stays the same across restarts),
asks for a secret that travels in its environment, and ends by itself when this process dies.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

from app.worker_client import WorkerClient, WorkerError
from app.worker_log import WorkerLog

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
TOKEN_VARIABLE = "LLAVA_LOOP_WORKER_TOKEN"
OUR_VARIABLES = "LLAVA_LOOP_"
PASSED_ON = frozenset({"TEMPLATE", "DTYPE", "DEVICE", "THREADS"})
"""The page's other settings (passwords, the database's address) are no business of the worker's."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What the local worker is started with; passed on as its flags. None leaves the worker's own default."""

    model: str = "model/demo"
    template: str | None = None
    dtype: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What the page shows about the local worker.

    `fraction` of the loading, 0 to 1; `reason` in words: why it failed, or how the last one died;
    `restart_in_seconds` while "restarting"; `num_restarts` since the page started.
    """

    phase: Literal["starting", "loading", "ready", "failed", "restarting", "stopped"]
    fraction: float = 0.0
    reason: str | None = None
    restart_in_seconds: float = 0.0
    num_restarts: int = 0


@dataclass(frozen=True, slots=True)
class RestartPace:
    """How long to wait before each restart: doubling, until the worker was ready for `steady_seconds`."""

    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    steady_seconds: float = 60.0
    poll_seconds: float = 0.25


class WorkerProcess:
    """The local worker: `python -m model.worker` on a free loopback port, with a secret token."""

    def __init__(
        self,
        options: WorkerOptions,
        log_path: Path,
        *,
        pace: RestartPace | None = None,
        command: Callable[[int], list[str]] | None = None,
    ) -> None:
        """`command` makes another program's argument list from the port, for tests of the watching itself."""
        self._options = options
        self._log = WorkerLog(log_path)
        self._pace = pace or RestartPace()
        self._command = command or self._worker_command
        self._token = secrets.token_urlsafe(32)
        self._port, self._held_port = _hold_a_free_port()
        self._client = WorkerClient(self.base_url, self._token)
        self._changed = threading.Condition()
        self._state = WorkerState("starting")
        self._restart_at = 0.0
        self._ending = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, name="worker-watch", daemon=True)

    @property
    def base_url(self) -> str:
        """http://127.0.0.1:PORT, the same across restarts."""
        return f"http://{HOST}:{self._port}"

    @property
    def token(self) -> str:
        """The secret that this worker asks for."""
        return self._token

    @property
    def process_id(self) -> int | None:
        """The child's process id, None while there is none."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    @property
    def state(self) -> WorkerState:
        """A snapshot; cheap, never blocks."""
        state = self._state
        if state.phase != "restarting":
            return state
        return replace(state, restart_in_seconds=max(0.0, self._restart_at - time.monotonic()))

    def start(self) -> None:
        """Starts the child and the watching thread; returns at once."""
        atexit.register(self.stop)
        self._thread.start()

    def stop(self, timeout_seconds: float = 12.0) -> None:
        """Ends the child (SIGTERM, then SIGKILL) and the watching thread. Safe to call twice."""
        self._ending.set()
        atexit.unregister(self.stop)
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)  # it may be about to start a child
        child = self._child
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        self._held_port.close()
        self._tell(WorkerState("stopped", num_restarts=self._state.num_restarts))

    def wait_until_ready(self, timeout_seconds: float) -> WorkerState:
        """Waits for "ready", "failed" or "stopped"; returns the state reached."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._state.phase in ("ready", "failed", "stopped"), timeout_seconds
            )
        return self.state

    def _watch(self) -> None:
        pause, num_restarts, reason = self._pace.first_seconds, 0, None
        while not self._ending.is_set():
            self._tell(WorkerState("starting", reason=reason, num_restarts=num_restarts))
            ready_seconds = self._run_once(num_restarts)
            if self._ending.is_set():
                return
            if ready_seconds >= self._pace.steady_seconds:
                pause = self._pace.first_seconds
            reason = self._death_in_words()
            num_restarts += 1
            self._restart_at = time.monotonic() + pause
            self._tell(WorkerState("restarting", reason=reason, num_restarts=num_restarts))
            self._ending.wait(pause)
            pause = min(2 * pause, self._pace.longest_seconds)

    def _run_once(self, num_restarts: int) -> float:
        """One child's life, to its end or ours. Returns how many seconds it was ready."""
        try:
            child = self._spawn()
        except OSError as error:
            self._child = None
            self._log.write(f"the worker cannot be started: {error}\n".encode())
            return 0.0
        self._child = child
        pump = threading.Thread(target=self._pump, args=(child.stdout,), name="worker-log", daemon=True)
        pump.start()
        ready_at: float | None = None
        while child.poll() is None and not self._ending.wait(self._pace.poll_seconds):
            if ready_at is None and self._ask_health(num_restarts) == "ready":
                ready_at = time.monotonic()
        if child.poll() is not None:
            pump.join(timeout=1.0)
        return 0.0 if ready_at is None else time.monotonic() - ready_at

    def _ask_health(self, num_restarts: int) -> str | None:
        """Tells and returns the worker's own state; None while it does not answer."""
        try:
            health = self._client.health(timeout_seconds=5.0)
        except WorkerError:
            return None  # not yet listening, or busy importing; whether it lives the process tells
        self._tell(WorkerState(health.state, health.fraction, health.reason, num_restarts=num_restarts))
        return health.state

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(self._port),
            cwd=ROOT,
            env=child_environment(os.environ, self._token),
            stdin=subprocess.PIPE,  # never written to: its end tells the child that we have died
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end the child
        )

    def _worker_command(self, port: int) -> list[str]:
        model = Path(self._options.model)
        # A path is meant from where the person stands; what is not there is left to the worker, which stands in ROOT.
        command = [sys.executable, "-m", "model.worker", "--host", HOST, "--port", str(port)]
        command += [
            "--model",
            str(model.resolve()) if model.exists() else self._options.model,
            "--exit-with-parent",
        ]
        if hasattr(socket, "SO_REUSEPORT"):
            command.append("--reserved-port")
        for flag in ("template", "dtype", "device"):
            value = getattr(self._options, flag)
            if value is not None:
                command += [f"--{flag}", value]
        return command

    def _pump(self, output: IO[bytes] | None) -> None:
        if output is None:
            return
        with contextlib.suppress(OSError, ValueError):  # a full disk must not stop the worker's pipe for good
            while line := output.readline(65_536):
                with contextlib.suppress(OSError):
                    self._log.write(line)

    def _death_in_words(self) -> str:
        child = self._child
        if child is None or child.returncode is None:
            return f"The worker could not be started: {self._log.last_line}"
        return death_in_words(child.returncode, self._log.last_line)

    def _tell(self, state: WorkerState) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()


def child_environment(environment: Mapping[str, str], token: str) -> dict[str, str]:
    """What the worker may know: everything but the page's own settings, and the secret."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(OUR_VARIABLES) or name.removeprefix(OUR_VARIABLES) in PASSED_ON
    }
    # Waiting threads that spin take the page's share of a small machine.
    return {"OMP_WAIT_POLICY": "PASSIVE", **kept, TOKEN_VARIABLE: token, "PYTHONUNBUFFERED": "1"}


def death_in_words(status: int, last_line: str) -> str:
    """How a child ended: `status` as subprocess gives it, negative for a signal."""
    if status == -signal.SIGKILL:
        return "The worker was killed (signal 9), which most often means that the machine ran out of memory."
    told = f"; the last line of its log: {last_line[:300]}" if last_line else ""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"The worker was ended by {name}{told}"
    return f"The worker ended with exit status {status}{told}"


def _hold_a_free_port() -> tuple[int, socket.socket]:
    """Bound but not listening: the child may listen beside it, nobody else gets the port, and while the child is
    dead a connection is refused at once. Without shared ports (Windows) it is let go, and most likely stays free."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if hasattr(socket, "SO_REUSEPORT"):
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((HOST, 0))
    port: int = held.getsockname()[1]
    if not hasattr(socket, "SO_REUSEPORT"):
        held.close()
    return port, held
