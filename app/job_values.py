"""A training job as the page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from conversations.errors import LogError
from conversations.jobs import ENDED, RUNNING, JobPhase
from model.training.config import TrainingConfig
from model.training.run_folder import RunFolder
from model.training.status import RunStatus

__all__ = ["ENDED", "RUNNING", "Job", "JobPhase", "JobRefused"]


class JobRefused(LogError):
    """What was asked for cannot be done with this job as it stands; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Job:
    """`words`: how it stands, or why it ended. `status` is what its process wrote last, None where it wrote nothing
    (or where the folder lies on another machine). `device`: cpu, cuda:0; "" while it waits. `frees_worker`: the
    worker's model is taken out of memory while this job runs. Times are UTC."""

    id: str
    name: str
    actor: str
    phase: JobPhase
    words: str
    config: TrainingConfig
    status: RunStatus | None
    folder: RunFolder
    device: str
    frees_worker: bool
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def is_running(self) -> bool:
        return self.phase in RUNNING

    @property
    def has_ended(self) -> bool:
        return self.phase in ENDED

    @property
    def can_resume(self) -> bool:
        return self.phase in ("stopped", "failed")
