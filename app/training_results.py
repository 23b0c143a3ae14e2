"""What a run brought out, and the worker: chat with it, compare it with its base, switch to it. Knows no gradio.

An adapter goes into the running worker beside its base, by vLLM's convention and without a restart; a whole checkpoint
becomes the worker's model the way every other does. What is true is asked each time: the files in the run's folder, the
worker's own list. Nothing is kept here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from app.adapter_names import loaded_as, name_for
from app.job_values import Job
from app.model_picker import Switchable, failure
from app.recent_models import of_a_model
from app.worker_child import ROOT, WorkerOptions
from app.worker_client import WorkerRefused
from app.worker_errors import WorkerError
from app.worker_status import WorkerStatus
from conversations.errors import LogError
from model.training.run_folder import RunFolder

RESULT, MERGED = "result", "merged"
SECONDS_TO_WAIT = 60.0
"""For a worker that is on its way back, as it is right after a run that had taken its place."""


class ResultRefused(LogError):
    """It cannot be done like this; the sentence says why and what can be done."""


class KnowsJobs(Protocol):
    """The part of app.jobs.Jobs that is needed here."""

    def get(self, job_id: str) -> Job: ...  # raises NotFound
    def list(self) -> Sequence[Job]: ...  # the newest first


class LoadsAdapters(Protocol):
    """The part of WorkerClient that is needed here."""

    def models(self) -> tuple[str, ...]: ...
    def load_adapter(self, name: str, path: str) -> None: ...
    def unload_adapter(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How a result stands to the worker. `loaded` is the adapter's name there; `runs_base` is None where that cannot be
    known; `runs` is which of the run's own folders is the running model; `failed` why the last switch to
    one of its models did not come to pass."""

    kind: Literal["adapter", "model", ""]
    base: str
    running: str
    ready: bool
    words: str
    loaded: str | None = None
    runs_base: bool | None = None
    runs: Literal["", "result", "merged"] = ""
    is_merged: bool = False
    can_switch: bool = False
    failed: str = ""


class TrainingResults:
    """Any number of threads may call it; who may, the caller knows."""

    def __init__(
        self,
        jobs: KnowsJobs,
        runs: Path,
        client: LoadsAdapters,
        status: Callable[[], WorkerStatus],
        worker: Switchable | None,
    ) -> None:
        """`runs` is the worker's --adapter-root; `worker` None: it runs elsewhere."""
        self._jobs = jobs
        self._runs = runs
        self._client = client
        self._status = status
        self._worker = worker

    def job(self, job_id: str) -> Job:
        """Raises NotFound."""
        return self._jobs.get(job_id)

    def standing(self, job: Job, *, afresh: bool = False) -> Standing:
        """`afresh` asks the worker for what it serves, which is known a second late otherwise; raises WorkerError."""
        status, model = self._status(), self._model()
        served = self._client.models() if afresh else status.models
        options = self._worker.options if self._worker is not None else None
        folder = job.folder.path
        source = os.path.realpath(ROOT / options.model) if options is not None else ""
        runs: Literal["", "result", "merged"] = ""
        if source == os.path.realpath(folder / RESULT):
            runs = "result"
        elif source == os.path.realpath(folder / MERGED):
            runs = "merged"
        return Standing(
            kind=kind_of(job.folder),
            base=job.config.model,
            running=model,
            ready=status.ready,
            words=status.words,
            loaded=loaded_as(self._runs, f"{folder.name}/{RESULT}", model, served[1:]),
            runs_base=None if options is None else is_base(job.config.model, options),
            runs=runs,
            is_merged=(folder / MERGED / "config.json").is_file(),
            can_switch=self._worker is not None,
            failed=self._failed(job),
        )

    def _failed(self, job: Job) -> str:
        if self._worker is None or self._worker.last_switch.wanted is None:
            return ""
        wanted = os.path.realpath(ROOT / self._worker.last_switch.wanted.model)
        own = (job.folder.path / RESULT, job.folder.path / MERGED, ROOT / job.config.model)
        return failure(self._worker.last_switch) if wanted in map(os.path.realpath, own) else ""

    # -- in the worker ---------------------------------------------------------------------------------------------

    def load(self, job_id: str) -> str:
        """Make the adapter a model that everybody can choose; its name. One that is loaded stays. Raises NotFound,
        ResultRefused, WorkerError."""
        job = self.job(job_id)
        self._wait_for_worker()
        standing = self.standing(job, afresh=True)
        if standing.kind != "adapter":
            raise ResultRefused(
                "This run brought out no adapter, but a whole model; switch to it instead."
                if standing.kind
                else "This run has no result that could be loaded; it may not have ended well."
            )
        if standing.loaded is not None:
            return standing.loaded
        if standing.runs_base is False:
            raise ResultRefused(
                f"The adapter was trained on {standing.base}, but {standing.running or 'another model'} is running; "
                "switch to its base first."
            )
        name = name_for(job.name, job.id, self._client.models())
        path = f"{job.folder.path.name}/{RESULT}"
        try:
            self._client.load_adapter(name, path)
        except WorkerRefused as error:
            if error.code == "adapter_not_found" and self._worker is None:
                raise ResultRefused(
                    f"The worker runs elsewhere and has no folder {path} below its --adapter-root; copy "
                    f"{job.folder.result} there, then try again."
                ) from error
            raise
        return name

    def unload(self, job_id: str) -> str:
        """Take it away again; the name that it had. Raises NotFound, ResultRefused, WorkerError."""
        name = self.standing(self.job(job_id), afresh=True).loaded
        if name is None:
            raise ResultRefused("This adapter is not loaded, so there is nothing to unload.")
        self._client.unload_adapter(name)
        return name

    def let_go(self, job_id: str) -> None:
        """Before its folder is deleted: nobody may go on with an adapter that would be gone after the next restart.
        Raises NotFound, ResultRefused."""
        job = self.job(job_id)
        standing = self.standing(job)
        if standing.runs:
            raise ResultRefused(
                f"{job.name} is the running model; go back to its base, or to another model, then delete it."
            )
        if standing.loaded is None:
            return
        try:
            self._client.unload_adapter(standing.loaded)
        except WorkerError as error:
            raise ResultRefused(f"{standing.loaded} could not be taken out of the worker: {error}") from error

    def drop(self, name: str) -> None:
        """Take an adapter away by its name, though its run may be gone. Raises ResultRefused, WorkerError."""
        if name not in self._client.models()[1:]:
            raise ResultRefused(f"No adapter of the name {name[:100]!r} is loaded.")
        self._client.unload_adapter(name)

    def to_compare(self, job_id: str) -> tuple[str, ...]:
        """The models to be asked the same question: the base and the adapter, which is loaded for it, or the one that
        runs. Raises as `load`."""
        job = self.job(job_id)
        self._wait_for_worker()
        standing = self.standing(job)
        if standing.kind == "adapter" and not standing.runs:
            return self._model(), self.load(job_id)
        if not standing.runs and standing.runs_base is not True:
            raise ResultRefused(
                f"Neither this model nor its base is running, but {standing.running}; switch to one of them first."
            )
        return (self._model(),)

    def switch(self, job_id: str, to: str) -> str:
        """Make the base, the result or the merged one the worker's model; its name. Raises NotFound, ResultRefused."""
        job = self.job(job_id)
        if self._worker is None:
            raise ResultRefused("The worker runs elsewhere; start it there with the model that you want.")
        source = whole_model(job, to)
        machine = self._worker.options
        self._worker.switch(
            WorkerOptions(
                model=source,
                quantize="4bit" if to == "base" and job.config.recipe == "qlora" else None,
                served_name=None if to == "base" else self._name_of_whole(job),
                device=machine.device,
                device_map=machine.device_map,
                cache_gb=machine.cache_gb,
                adapter_root=machine.adapter_root,
            )
        )
        return source

    def _name_of_whole(self, job: Job) -> str:
        """Neither the base's name nor an earlier run's: the worker remembers adapters by their model's name."""
        jobs = self._jobs.list()
        earlier = jobs[[each.id for each in jobs].index(job.id) + 1 :]
        taken = {name_for(each.name, each.id, ()) for each in earlier}
        return name_for(job.name, job.id, taken | {os.path.basename(job.config.model.rstrip("/"))})

    def _model(self) -> str:
        health = self._status().health
        return health.model if health is not None else ""

    def _wait_for_worker(self) -> None:
        """Raises ResultRefused where it does not come back in time."""
        until = time.monotonic() + SECONDS_TO_WAIT
        while not (status := self._status()).ready:
            if not status.waits or status.paused or time.monotonic() > until:
                raise ResultRefused(f"The model is not ready ({status.words}); try again once it is.")
            time.sleep(0.2)


def kind_of(folder: RunFolder) -> Literal["adapter", "model", ""]:
    """What lies in `result`; the files say it."""
    if (folder.result / "adapter_config.json").is_file():
        return "adapter"
    return "model" if (folder.result / "config.json").is_file() else ""


def is_base(trained_on: str, options: WorkerOptions) -> bool:
    """Whether the worker's model is the one that an adapter was trained on, and nothing is merged into it."""
    running = of_a_model(options)
    if running.get("adapter") or running.get("model_base"):
        return False
    here = ROOT / trained_on
    if here.is_dir():
        return os.path.realpath(here) == os.path.realpath(ROOT / running["model"])
    return trained_on == running["model"]


def whole_model(job: Job, which: str) -> str:
    """The folder, or the name on the Hub, of the run's base, of its result or of what was merged. Raises ResultRefused
    where there is none."""
    if which == "base":
        folder = ROOT / job.config.model
        if not folder.is_dir() and (Path(job.config.model).is_absolute() or "/" not in job.config.model):
            raise ResultRefused(
                f"The base {job.config.model} is no longer there; put the folder back, or train on another."
            )
        return str(folder) if folder.is_dir() else job.config.model
    if which == RESULT and kind_of(job.folder) == "model":
        return str(job.folder.result.absolute())
    if which == MERGED and (job.folder.path / MERGED / "config.json").is_file():
        return str((job.folder.path / MERGED).absolute())
    raise ResultRefused("There is no whole model of this run yet; merge its adapter first.")
