"""Starts the local worker as a child process, watches it and restarts it when it dies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


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


class WorkerProcess:
    """The local worker: `python -m model.worker` on a free loopback port, with a secret token."""

    def __init__(self, options: WorkerOptions, log_path: Path) -> None:
        raise NotImplementedError

    @property
    def base_url(self) -> str:
        """http://127.0.0.1:PORT, the same across restarts."""
        raise NotImplementedError

    @property
    def token(self) -> str:
        """The secret that this worker asks for."""
        raise NotImplementedError

    @property
    def state(self) -> WorkerState:
        """A snapshot; cheap, never blocks."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts the child and the watching thread; returns at once."""
        raise NotImplementedError

    def stop(self, timeout_seconds: float = 12.0) -> None:
        """Ends the child (SIGTERM, then SIGKILL) and the watching thread. Safe to call twice."""
        raise NotImplementedError

    def wait_until_ready(self, timeout_seconds: float) -> WorkerState:
        """Waits for "ready" or "failed"; returns the state reached."""
        raise NotImplementedError
