"""What happens when an admin does something in the training view: an order is looked at, checked and given, jobs are
watched, stopped, resumed, renamed, deleted and copied. One method for each event, as in the library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.admin_events import AdminEvents, Feeds
from app.job_values import Job
from app.jobs import Jobs
from app.settings import ROOT
from app.training_bases import TrainingBases
from app.training_check import TrainingChecks
from app.training_command import shell_lines
from app.training_form import values
from app.training_request import Known, TrainingOrder, TrainingRequest
from app.training_sources import TrainingSources
from app.training_view import form_values, left_out, line, settings_html, told
from app.training_watch import CurveShelf, log_since
from conversations.errors import InvalidText, LogError
from model.training.config import InvalidConfig, TrainingConfig
from model.training.recipes import config_for, text_width

NOTHING = {
    "library": "No answer is meant; widen the filters, or correct answers in the library first.",
    "set": "This data set holds no example; choose another.",
    "file": "This file holds no example; give another.",
}
NO_MODEL = "Choose the model to begin with."
SHARED = (
    "The chat’s model lies on the same device ({device}). Where its memory is too small for both, take the model out "
    "while this run trains; the chat waits for so long."
)


class TrainingEvents(AdminEvents[TrainingRequest]):
    """The training view's answers to events; any number of threads may call it. `shares` tells the device that a run
    on the one that it names would share with the worker, "" where it would not. `let_go` has the worker let
    go of what a run brought out."""

    def __init__(
        self,
        jobs: Jobs,
        sources: TrainingSources,
        checks: TrainingChecks,
        bases: TrainingBases,
        may: Callable[[str], bool],
        *,
        shares: Callable[[str], str],
        database_url: str,
        let_go: Callable[[str], None] = lambda job_id: None,
    ) -> None:
        super().__init__("training view", TrainingRequest, may, told=(InvalidConfig,))
        self._jobs = jobs
        self._sources = sources
        self._checks = checks
        self._bases = bases
        self._shares = shares
        self._database_url = database_url
        self._let_go = let_go
        self._curves = CurveShelf()

    # -- the form --------------------------------------------------------------------------------------------------

    def training(self, owner: str, event: TrainingRequest) -> Feeds:
        """That it may be shown, and what can be chosen."""
        models = [
            {"value": each.value, "name": each.name, "facts": each.facts} for each in self._bases.listed()
        ]
        sets = [{"value": each.value, "words": each.words} for each in self._sources.listed()]
        return {"door": {"models": models, "sets": sets, "datasets": str(self._sources.datasets)}}

    def values(self, owner: str, event: TrainingRequest) -> Feeds:
        """What a recipe's fields stand at."""
        width = text_width(ROOT / event.text("model", 4000).strip())
        return {
            "values": {
                "key": event.text("key", 64),
                "values": values(event.recipe(), event.scale(), width),
            }
        }

    def forecast(self, owner: str, event: TrainingRequest) -> Feeds:
        """What the form says at the moment: counts, the command, and why it could not be started."""
        forecast: dict[str, Any] = {"key": event.text("key", 64), "command": "", "refusal": "", "shares": ""}
        for name in ("data", "mixed"):
            forecast[name] = self._counted(event, name)
        try:
            order = event.training()
            config = self._config(order)
            forecast["command"] = shell_lines(self._jobs.command_line, order.data, config, self._database_url)
            device = self._shares(config.device)
            forecast["shares"] = SHARED.format(device=device) if device else ""
        except (LogError, InvalidConfig) as error:
            forecast["refusal"] = str(error)
        return {"forecast": forecast}

    def _counted(self, event: TrainingRequest, name: str) -> dict[str, Any] | None:
        if not event.has(name):
            return None
        try:
            choice = event.choice(name)
            found = self._sources.counted(choice)
        except LogError as error:
            return {"words": str(error), "failed": True}
        if found.num_records == 0:
            return {"words": NOTHING[choice.kind], "failed": True}
        if choice.share == 1.0 or found.num_records is None:
            return {"words": f"{found.words}.", "failed": False}
        taken = round(choice.share * found.num_records)
        return {"words": f"{taken:,} of {found.words}.", "failed": False}

    def check(self, owner: str, event: TrainingRequest) -> Feeds:
        """Begin to look through the data."""
        order = event.training()
        self._checks.start(owner, self._config(order), self._sources.writer(None, order.choices))
        return self.checking(owner, event)

    def checking(self, owner: str, event: TrainingRequest) -> Feeds:
        """How that goes, and what was found."""
        state = self._checks.state(owner)
        return {
            "check": {
                "phase": state.phase,
                "words": state.words,
                "html": state.html,
                "may_start": state.may_start,
            }
        }

    def uncheck(self, owner: str, event: TrainingRequest) -> Feeds:
        """Nobody waits for it any more."""
        self._checks.stop(owner)
        return {}

    def start(self, owner: str, event: TrainingRequest) -> Feeds:
        """Order a job."""
        order = event.training()
        job = self._jobs.create(
            owner,
            order.name,
            self._config(order),
            data=self._sources.writer(owner, order.choices),
            frees_worker=order.frees_worker,
        )
        return {"started": {"job": job.id}}

    def _config(self, order: TrainingOrder) -> TrainingConfig:
        """Raises InvalidConfig, and LogErrors for data or a model that is not there."""
        if not order.model:
            raise InvalidText(NO_MODEL)
        data = tuple(self._sources.source(choice) for choice in order.choices)
        return config_for(order.recipe, self._bases.checked(order.model), data, **order.fields)

    # -- jobs ------------------------------------------------------------------------------------------------------

    def look(self, owner: str, event: TrainingRequest) -> Feeds:
        """All jobs in a line each, and of the open one what the browser does not have yet."""
        jobs = self._jobs.list()
        known = event.known()
        opened = next((job for job in jobs if known is not None and job.id == known.job), None)
        shown = self._opened(opened, known) if opened is not None and known is not None else None
        gone = known is not None and opened is None
        return {
            "look": {
                "jobs": [line(job) for job in jobs],
                "trouble": self._jobs.trouble,
                "open": {"id": known.job, "gone": True} if gone and known is not None else shown,
            }
        }

    def _opened(self, job: Job, known: Known) -> dict[str, Any]:
        message = told(job)
        message["fresh"] = known.fresh
        message["curves"] = self._curves.since(job.folder.metrics_file, known)
        message["log"] = log_since(job.folder.log_file, known.log_bytes)
        if known.fresh:
            message["settings"] = settings_html(job)
            message["command"] = self._jobs.command_line(job.config, job.folder.path)
        return message

    def stop(self, owner: str, event: TrainingRequest) -> Feeds:
        self._jobs.stop(event.job())
        return self.look(owner, event)

    def resume(self, owner: str, event: TrainingRequest) -> Feeds:
        self._jobs.resume(event.job())
        return self.look(owner, event)

    def delete(self, owner: str, event: TrainingRequest) -> Feeds:
        name = self._jobs.get(event.job()).name
        self._jobs.refuse_delete(event.job())
        self._let_go(event.job())
        self._jobs.delete(event.job())
        return {**self.look(owner, event), **self._said(f"{name} was deleted, with its folder.")}

    def rename(self, owner: str, event: TrainingRequest) -> Feeds:
        self._jobs.rename(event.job(), event.text("name"))
        return self.look(owner, event)

    def clone(self, owner: str, event: TrainingRequest) -> Feeds:
        """A job's settings for the form."""
        job = self._jobs.get(event.job())
        config = self._jobs.clone(job.id)
        filled = {"filled": form_values(config, f"{job.name} again")}
        words = left_out(config)
        return {**filled, "said": {"words": words, "failed": True}} if words else filled

    def _said(self, words: str) -> Feeds:
        return {"said": {"words": words, "failed": False}}
