"""What happens when an admin does something with what a run brought out. One method for each event; the page holds a
job's id and a question's number, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.admin_events import AdminEvents, Feeds
from app.both_answers import BothAnswers
from app.browser_event import BrowserEvent
from app.held_out import find, picture_file, read_held_out
from app.result_copies import ResultCopies
from app.result_view import deeds_html, frame_html, now_html, rows_html, scores_html
from app.training_results import TrainingResults

LONGEST_ID = 100


class ResultEvents(AdminEvents[BrowserEvent]):
    """Any number of threads may call it."""

    def __init__(
        self,
        results: TrainingResults,
        copies: ResultCopies,
        both: BothAnswers,
        may: Callable[[str], bool],
    ) -> None:
        super().__init__("results", BrowserEvent, may)
        self._results = results
        self._copies = copies
        self._both = both

    def show(self, owner: str, event: BrowserEvent) -> Feeds:
        """A run's results, whole."""
        job = self._results.job(_job(event))
        rows = read_held_out(job.folder)
        return {
            "shown": {
                "job": job.id,
                "frame": frame_html(job),
                "scores": scores_html(rows),
                "rows": rows_html(job, rows, "all"),
            },
            **self.state(owner, event),
        }

    def rows(self, owner: str, event: BrowserEvent) -> Feeds:
        """Some of the held-out answers."""
        job = self._results.job(_job(event))
        html = rows_html(job, read_held_out(job.folder), event.text("only", 20))
        return {"rows": {"job": job.id, "html": html}}

    def state(self, owner: str, event: BrowserEvent) -> Feeds:
        """How it stands to the worker, and how the work on it goes."""
        return self._state(_job(event))

    def _state(self, job_id: str, *, afresh: bool = False) -> Feeds:
        job = self._results.job(job_id)
        standing, work = self._results.standing(job, afresh=afresh), self._copies.work.state
        message: dict[str, Any] = {
            "job": job.id,
            "html": deeds_html(job, standing, work),
            "busy": work.phase == "running" or not standing.ready,
        }
        return {"state": message}

    def load(self, owner: str, event: BrowserEvent) -> Feeds:
        """Into the worker, to be chatted with."""
        name = self._results.load(_job(event))
        return {"chat": {"job": _job(event), "model": name}, **self._state(_job(event), afresh=True)}

    def unload(self, owner: str, event: BrowserEvent) -> Feeds:
        name = self._results.unload(_job(event))
        return {**self._said(f"{name} is unloaded."), **self._state(_job(event), afresh=True)}

    def drop(self, owner: str, event: BrowserEvent) -> Feeds:
        """Unload an adapter by its name."""
        name = event.text("name", 100)
        self._results.drop(name)
        return self._said(f"{name} is unloaded.")

    def switch(self, owner: str, event: BrowserEvent) -> Feeds:
        """To the base, the result or the merged model."""
        self._results.switch(_job(event), event.text("to", 20))
        return self.state(owner, event)

    def merge(self, owner: str, event: BrowserEvent) -> Feeds:
        self._copies.merge(_job(event))
        return self.state(owner, event)

    def push(self, owner: str, event: BrowserEvent) -> Feeds:
        self._copies.push(
            _job(event),
            event.text("repo", 200).strip(),
            event.text("token", 500).strip(),
            private=event.flag("private"),
        )
        return self.state(owner, event)

    def halt(self, owner: str, event: BrowserEvent) -> Feeds:
        self._copies.work.stop()
        return self.state(owner, event)

    def ask(self, owner: str, event: BrowserEvent) -> Feeds:
        """The running models, base and tuned, one held-out question."""
        job = self._results.job(_job(event))
        row = find(job.folder, event.turn("number"))
        pictures = [
            picture_file(row, place, job.config, job.folder.path) for place in range(len(row.pictures))
        ]
        self._both.ask(job.id, row, pictures, self._results.to_compare(job.id))
        return self.asked(owner, event)

    def asked(self, owner: str, event: BrowserEvent) -> Feeds:
        """What they have said so far."""
        job = self._results.job(_job(event))
        asking = self._both.asked(job.id)
        if asking is None:
            return {}
        titles = ("Base now", "Tuned now") if len(asking.said) == 2 else (self._title(job.id),)
        html = now_html(asking, find(job.folder, asking.number).right, titles)
        return {"now": {"job": job.id, "number": asking.number, "html": html, "ended": asking.ended}}

    def _title(self, job_id: str) -> str:
        return "Tuned now" if self._results.standing(self._results.job(job_id)).runs else "Base now"

    def _said(self, words: str) -> Feeds:
        return {"said": {"words": words, "failed": False}}


def _job(event: BrowserEvent) -> str:
    return event.text("job", LONGEST_ID)
