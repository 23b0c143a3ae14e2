"""A job for the page: its line in the list, its numbers, and what of it never changes as HTML."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from html import escape
from typing import Any

from app.job_values import Job
from app.training_form import label, shown
from app.training_words import JOB_PHASES, RUN_PHASES, duration, facts, fraction
from model.training.config import DataSource, TrainingConfig

PLACES = 2
"""For sources of data, in the form."""


def line(job: Job) -> dict[str, Any]:
    """For the list."""
    return {
        "id": job.id,
        "name": job.name,
        "phase": job.phase,
        "about": f"{phase_words(job)} · {job.config.recipe}",
        "fraction": fraction(job.status) if job.is_running else None,
        "at": _iso(job.created_at),
    }


def told(job: Job) -> dict[str, Any]:
    """What changes while it runs. `unknown`: it runs and nobody can say how far it is."""
    done = 1.0 if job.phase == "done" else fraction(job.status)
    return {
        "id": job.id,
        "name": job.name,
        "phase": job.phase,
        "badge": phase_words(job),
        "words": job.words,
        "fraction": done,
        "unknown": job.is_running and done is None,
        "facts": facts(job.status) | {"took": _took(job)},
        "can": {
            "stop": job.phase in ("queued", "running"),
            "resume": job.can_resume,
            "delete": not job.is_running,
        },
    }


def _took(job: Job) -> str:
    """From its start, or its last resume, to its end."""
    if job.started_at is None or job.ended_at is None:
        return ""
    return duration((job.ended_at - job.started_at).total_seconds())


def phase_words(job: Job) -> str:
    """In two or three words."""
    if job.phase == "running" and job.status is not None:
        return "Ending" if job.status.has_ended else RUN_PHASES[job.status.phase]
    return JOB_PHASES[job.phase]


def settings_html(job: Job) -> str:
    """With what it was ordered."""
    rows = [("Recipe", job.config.recipe), ("Base model", job.config.model)]
    rows += [("Data", _source(source)) for source in job.config.data]
    rows += [(label(name), value) for name, value in shown(job.config).items() if value]
    if job.frees_worker:
        rows.append(("The worker’s model", "out of memory while it runs"))
    listed = "".join(
        f'<div><dt>{escape(name)}</dt><dd dir="auto">{escape(value)}</dd></div>' for name, value in rows
    )
    ordered = f'<time datetime="{_iso(job.created_at)}">{job.created_at:%Y-%m-%d %H:%M} UTC</time>'
    folder = f'<code dir="auto">{escape(str(job.folder.path))}</code>'
    return f'<p class="faint">Ordered {ordered}; its folder is {folder}</p><dl class="settings">{listed}</dl>'


def form_values(config: TrainingConfig, name: str) -> dict[str, Any]:
    """To fill the form with a job's settings."""
    sources = [
        {"kind": "file", "file": each.file, "pictures": each.pictures, "share": percent(each.share)}
        for each in config.data
    ]
    return {
        "name": name,
        "recipe": config.recipe,
        "model": config.model,
        "data": sources[0],
        "mixed": sources[1] if len(sources) > 1 else None,
        "fields": shown(config),
    }


def left_out(config: TrainingConfig) -> str:
    """Of the sources that the form has no place for, in a sentence; "" where it has for all."""
    names = [_source(each) for each in config.data[PLACES:]]
    if not names:
        return ""
    return (
        f"This run learned from {len(config.data)} sources, and the form has room for {PLACES}: {'; '.join(names)} "
        "left out. To learn from all, train from the command line."
    )


def percent(share: float) -> str:
    """All of its digits, so that the same share comes back (TrainingRequest.choice)."""
    return format((Decimal(repr(float(share))) * 100).normalize(), "f")


def _source(source: DataSource) -> str:
    pictures = f", pictures in {source.pictures}" if source.pictures else ""
    part = f", {100 * source.share:g} % of it" if source.share != 1 else ""
    return f"{source.file}{pictures}{part}"


def _iso(moment: datetime) -> str:
    return moment.isoformat()
