"""What the results of runs are made of, put together once: for the page's start, and for tests that serve a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.routing import Route

from app.both_answers import AsksWorker, BothAnswers
from app.model_picker import Switchable
from app.picture_routes import OwnerOf
from app.result_copies import ResultCopies
from app.result_events import ResultEvents
from app.result_routes import ResultRoutes
from app.training_results import (
    KnowsJobs,
    LoadsAdapters,
    ResultRefused,
    TrainingResults,
)
from app.worker_status import WorkerStatus

SECONDS_TO_STOP = 20.0
"""For a merge or an upload that goes on when the page ends, so that it leaves nothing half behind."""


@dataclass(frozen=True, slots=True)
class ResultParts:
    """The results of the runs in one folder, and one worker."""

    results: TrainingResults
    copies: ResultCopies
    both: BothAnswers

    @classmethod
    def of(
        cls,
        jobs: KnowsJobs,
        runs: Path,
        client: LoadsAdapters,
        client_with: Callable[[Callable[[str], str]], AsksWorker],
        status: Callable[[], WorkerStatus],
        worker: Switchable | None,
        environment: Mapping[str, str] | None = None,
    ) -> ResultParts:
        """`client_with` gives a client of the same worker that finds its pictures by another function."""
        results = TrainingResults(jobs, runs, client, status, worker)
        return cls(results, ResultCopies(results, environment), BothAnswers(client_with))

    def events(self, may: Callable[[str], bool]) -> ResultEvents:
        return ResultEvents(self.results, self.copies, self.both, may)

    def routes(self, owner_of: OwnerOf, may: Callable[[str], bool]) -> list[Route]:
        return ResultRoutes(self.results, self.copies, owner_of, may).routes()

    def let_go(self, job_id: str) -> None:
        """Before a run's folder is deleted: nobody goes on writing there, and the worker lets go of what it brought
        out. Raises NotFound, ResultRefused."""
        work = self.copies.work.state
        if work.phase == "running" and work.job_id == job_id:
            raise ResultRefused(
                f"“{work.words}” is not finished; wait until it has ended, or stop it, then delete the run."
            )
        self.results.let_go(job_id)

    def stop(self) -> None:
        """A merge or an upload that goes on is ended; what was asked ends with its worker."""
        self.copies.work.stop(SECONDS_TO_STOP)
