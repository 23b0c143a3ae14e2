"""What is known about the worker, asked for in the background so that showing it never waits.

A local worker is watched by its process, a remote one only by its /health; the page sees one snapshot of either.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Protocol

from app import wording
from app.worker_client import WorkerError, WorkerHealth
from app.worker_process import WorkerState

POLL_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """`words` say the state to a person; `waits` means that it may become ready by itself, `paused` that this may take
    long, since a run has its place."""

    words: str
    ready: bool = False
    waits: bool = False
    fraction: float = 0.0
    health: WorkerHealth | None = None
    models: tuple[str, ...] = ()
    paused: bool = False

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the page offers and this server has not, by its name in ServerFeatures; nothing before it is known."""
        if self.health is None or self.health.state != "ready":
            return ()
        features = self.health.features
        return tuple(name for name in ("seed", "prompt", "adapters") if not getattr(features, name))

    @property
    def about(self) -> str:
        """One sentence on what the model knows, or nothing."""
        return (self.health.about or "") if self.health else ""


class AskedForHealth(Protocol):
    """The part of WorkerClient that is needed here."""

    def health(self) -> WorkerHealth: ...


class Watched(Protocol):
    """The part of WorkerProcess that is needed here."""

    @property
    def state(self) -> WorkerState: ...


class StatusWatch:
    """Asks the worker every second from a thread of its own. `process` is None for a worker that runs elsewhere."""

    def __init__(self, client: AskedForHealth, process: Watched | None) -> None:
        self._client = client
        self._process = process
        # With it, which of the local worker's lives it was asked of: the one before may have had another model.
        self._newest = (WorkerStatus("The model is starting", waits=True), 0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="worker-status", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()

    @property
    def now(self) -> WorkerStatus:
        """The newest snapshot. For a local worker its process' state is read afresh, which costs nothing."""
        status, life = self._newest
        if self._process is None:
            return status
        state = self._process.state
        is_of_this_life = life == state.num_restarts
        if state.phase == "ready" and is_of_this_life and status.health and status.health.state == "ready":
            return status
        waits = state.phase in ("starting", "loading", "restarting", "ready", "paused")
        words = "The model is loading, 99%" if state.phase == "ready" else wording.worker_state(state)
        return WorkerStatus(
            words, False, waits, state.fraction, status.health, status.models, state.phase == "paused"
        )

    def _watch(self) -> None:
        while not self._ended.is_set():
            life = self._process.state.num_restarts if self._process is not None else 0
            try:
                self._newest = (self._asked(), life)
            except Exception as error:  # noqa: BLE001 - the watch must outlive whatever it meets
                _log.exception("the worker's state could not be read")
                self._newest = (WorkerStatus(wording.sentence(error), waits=self._process is not None), life)
            self._ended.wait(POLL_SECONDS)

    def _asked(self) -> WorkerStatus:
        try:
            health = self._client.health()
            if health.state == "failed":
                return WorkerStatus(
                    f"The model failed: {health.reason or 'no reason was given'}", health=health
                )
            if health.state == "loading":
                words = health.reason or f"The model is loading, {health.fraction:.0%}"
                return WorkerStatus(words, waits=True, fraction=health.fraction, health=health)
            return WorkerStatus("Ready", True, False, 1.0, health, health.models)
        except WorkerError as error:
            return WorkerStatus(
                wording.sentence(error), waits=self._process is not None, health=self._newest[0].health
            )
