"""The worker makes room for a run that wants its memory, and comes back when that has ended, however it ended.

The page tells it with each run that begins, or that a restarted page finds running, and with each end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.job_values import Job
from model.training.run_folder import RunFolder

SECONDS_TO_LEAVE = 8.0
"""What the start of a run waits for the memory to be free: a worker gives its running answers six of them."""


class Rests(Protocol):
    """The part of WorkerProcess that is needed here."""

    def pause(self, who: str, words: Callable[[], str], *, seconds: float) -> None: ...
    def go_on(self, who: str) -> None: ...


class WorkerRest:
    """Two callbacks for app.jobs.Jobs. `worker` None: it runs elsewhere, and nothing is in the way."""

    def __init__(self, worker: Rests | None) -> None:
        self._worker = worker

    def on_running(self, job: Job) -> None:
        if self._worker is not None and job.frees_worker:
            name, folder = job.name, job.folder
            self._worker.pause(job.id, lambda: words_of(name, folder), seconds=SECONDS_TO_LEAVE)

    def on_ended(self, job: Job) -> None:
        if self._worker is not None:
            self._worker.go_on(job.id)


def words_of(name: str, folder: RunFolder) -> str:
    """Why there is no answer just now, and for about how long."""
    status = folder.status()
    told = []
    if status is not None and status.num_steps and not status.has_ended:
        told.append(f"{status.step:,} of {status.num_steps:,} steps")
    if status is not None and status.seconds_left and not status.has_ended:
        told.append(f"about {_duration(status.seconds_left)} left")
    far = f" ({', '.join(told)})" if told else ""
    return f"The model rests while “{name}” is trained{far}; questions wait for it"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
