"""A whole page on a log and runs of its own: jobs that are done with what they brought out, and a real worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.chat_events import ChatEvents
from app.job_watch import HOST
from app.jobs import Jobs
from app.library_exports import LibraryExports
from app.main import launch
from app.model_picker import ModelPicker
from app.picture_routes import Tickets
from app.recent_models import RecentModels
from app.result_parts import ResultParts
from app.settings import Settings
from app.training_parts import TrainingParts
from app.turns import Turns
from app.visitors import username_of
from app.worker_client import WorkerClient
from app.worker_process import RestartPace, WorkerOptions, WorkerProcess
from app.worker_status import StatusWatch
from conversations.store import ConversationStore
from tests.app.finished_run import FinishedJob
from tests.browser.running_page import environment

LOGINS = {"logins": {"ann": "one"}, "admins": {"root": "two"}}


@dataclass
class FinishedPage:
    """`jobs` are started only where a test lets some run."""

    url: str
    store: ConversationStore
    runs: Path
    jobs: Jobs
    worker: WorkerProcess
    client: WorkerClient
    watch: StatusWatch
    parts: ResultParts

    def add(self, job: FinishedJob) -> None:
        """Put a finished run on the list of jobs."""
        records = self.store.jobs
        config = job.folder.config().to_json()
        records.create(job.id, actor="user:root", name=job.name, config=config, host=HOST)
        assert records.end_queued(job.id, "done", "Done.")


@contextmanager
def finished_page(folder: Path, base: Path, **settings: object) -> Iterator[FinishedPage]:
    """`folder`/runs is the worker's --adapter-root. With the two logins unless others are given."""
    runs, given = folder / "runs", environment()
    runs.mkdir(parents=True, exist_ok=True)
    store = ConversationStore.open(f"sqlite:///{folder / 'chats.db'}", folder / "pictures")
    recent = RecentModels(folder / "recent_models.json")
    options = WorkerOptions(str(base), device="cpu", adapter_root=str(runs))
    worker = WorkerProcess(
        options,
        folder / "worker.log",
        pace=RestartPace(first_seconds=0.1),
        environment=given,
        on_ready=recent.remember,
    )
    worker.start()
    client = WorkerClient(worker.base_url, worker.token, data_url=store.images.data_url)
    watch = StatusWatch(client, worker)
    watch.start()
    told = Settings(port=0, database_url=f"sqlite:///{folder / 'chats.db'}", **(LOGINS | settings))  # type: ignore[arg-type]
    tickets, jobs = Tickets(), Jobs(store.jobs, runs, environment=given)
    events = ChatEvents(
        store, Turns(store, client, lambda: watch.now), tickets, lambda: watch.now,
        may_restart=lambda owner: told.is_admin(username_of(owner)), models=ModelPicker(worker, recent),
    )  # fmt: skip
    exports = LibraryExports(store, folder / "exports", client)
    training = TrainingParts.of(
        jobs, store, exports, folder, told.database_url, given, recent=recent, running=lambda: worker.options
    )
    parts = ResultParts.of(
        jobs, runs, client, lambda urls: WorkerClient(worker.base_url, worker.token, data_url=urls),
        lambda: watch.now, worker, {**os.environ, **given},
    )  # fmt: skip
    page = launch(told, store, tickets, events, exports, training, parts)
    try:
        yield FinishedPage(page.local_url, store, runs, jobs, worker, client, watch, parts)
    finally:
        page.close(verbose=False)
        parts.stop()
        watch.stop()
        worker.stop()
        store.close()
