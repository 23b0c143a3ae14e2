"""What the training view is made of, put together once: for the page's start, and for tests that serve a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.job_devices import Devices
from app.jobs import Jobs
from app.library_exports import LibraryExports
from app.recent_models import RecentModels
from app.training_bases import TrainingBases
from app.training_check import TrainingChecks
from app.training_events import TrainingEvents
from app.training_sources import TrainingSources
from app.worker_child import WorkerOptions
from conversations.store import ConversationStore


@dataclass(frozen=True, slots=True)
class TrainingParts:
    """`running` tells what the local worker was started with, None where it runs on another machine."""

    jobs: Jobs
    sources: TrainingSources
    checks: TrainingChecks
    bases: TrainingBases
    devices: Devices
    running: Callable[[], WorkerOptions | None]
    database_url: str

    @classmethod
    def of(
        cls,
        jobs: Jobs,
        store: ConversationStore,
        exports: LibraryExports,
        folder: Path,
        database_url: str,
        environment: Mapping[str, str],
        *,
        recent: RecentModels | None = None,
        running: Callable[[], WorkerOptions | None] = lambda: None,
    ) -> TrainingParts:
        """`folder` is the page's own data, `environment` what the page was started with."""
        return cls(
            jobs,
            TrainingSources(store, exports, folder),
            TrainingChecks(folder / "checks", environment=environment),
            TrainingBases(running, recent),
            Devices.find(environment),
            running,
            database_url,
        )

    def events(
        self, may: Callable[[str], bool], let_go: Callable[[str], None] = lambda job_id: None
    ) -> TrainingEvents:
        return TrainingEvents(
            self.jobs,
            self.sources,
            self.checks,
            self.bases,
            may,
            shares=self.shared_device,
            database_url=self.database_url,
            let_go=let_go,
        )

    def shared_device(self, wanted: str) -> str:
        """The device that a run on `wanted` would share with the local worker; "" where it would not. Where there are
        several GPUs the queue looks for a free one only among those that run nothing of its own."""
        options = self.running()
        if options is None:
            return ""
        of_worker = self.devices.wanted(options.device or "auto")[0]
        return of_worker.key if of_worker in self.devices.wanted(wanted) else ""

    def stop(self) -> None:
        self.checks.close()
