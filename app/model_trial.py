"""Which model the local worker is started with, and which one to go back to when another cannot be loaded.

Memory rarely holds two models, so the new one is started instead of the old one, and the old one again if that fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from app.worker_child import WorkerOptions


@dataclass(frozen=True, slots=True)
class ModelSwitch:
    """The newest change of model. `reason` says why it failed; `kept` is then what runs on, None for nothing."""

    number: int = 0
    wanted: WorkerOptions | None = None
    phase: Literal["none", "loading", "done", "failed"] = "none"
    reason: str = ""
    kept: WorkerOptions | None = None


class ModelTrial:
    """What is wanted, and what was last known to work. Options are told apart by identity: what the worker before said
    must never count for the next one, even where both have the same model."""

    def __init__(self, options: WorkerOptions, on_proven: Callable[[WorkerOptions], object]) -> None:
        """`on_proven` hears of every model that became ready, in the thread that found it out."""
        self._lock = threading.Lock()
        self._on_proven = on_proven
        self._wanted = options
        self._proven: WorkerOptions | None = None
        self._switch = ModelSwitch()

    @property
    def wanted(self) -> WorkerOptions:
        return self._wanted

    @property
    def switch(self) -> ModelSwitch:
        return self._switch

    def propose(self, options: WorkerOptions) -> None:
        """Try another model."""
        with self._lock:
            self._wanted = replace(options)
            self._switch = ModelSwitch(self._switch.number + 1, self._wanted, "loading")

    def ready(self, options: WorkerOptions) -> None:
        """A worker that was started with these is ready."""
        with self._lock:
            if options is not self._wanted or options is self._proven:
                return
            self._proven = options
            if self._switch.wanted is options:
                self._switch = replace(self._switch, phase="done")
        self._on_proven(options)

    def failed(self, options: WorkerOptions, reason: str) -> bool:
        """A worker that was started with these cannot be, or died; whether the model before is wanted again."""
        with self._lock:
            if options is not self._wanted or self._switch.phase != "loading":
                return False
            self._switch = replace(self._switch, phase="failed", reason=reason, kept=self._proven)
            if self._proven is None:
                return False
            self._wanted = self._proven
            return True
