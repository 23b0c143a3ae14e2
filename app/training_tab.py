"""The training view in the page: its part of the shell, and which events and feeds it has."""

from __future__ import annotations

from pathlib import Path

from app import tab_wire, training_form
from app.library_tab import filters_html
from app.training_events import TrainingEvents

FOLDER = Path(__file__).resolve().parent
STYLE = FOLDER / "training.css"
FEEDS = ("door", "values", "forecast", "check", "started", "look", "filled", "said")
EVENTS = (
    "training", "values", "forecast", "check", "checking", "uncheck", "start", "look", "stop", "resume", "delete",
    "rename", "clone",
)  # fmt: skip


def build(events: TrainingEvents) -> None:
    """Put the view's components into the Blocks that are being built."""
    tab_wire.build("training", events, EVENTS, FEEDS)


def side_html() -> str:
    """The list of runs, for the side of the shell."""
    return (FOLDER / "training_side.html").read_text(encoding="utf-8")


def stage_html() -> str:
    """The form and a run, for the middle of the shell."""
    page = (FOLDER / "training_stage.html").read_text(encoding="utf-8")
    parts = {
        "FILTERS": filters_html(),
        "RECIPES": training_form.recipes_html(),
        "SCALES": training_form.scales_html(),
        "FIELDS": training_form.fields_html(),
    }
    for mark, html in parts.items():
        page = page.replace(mark, html)
    return page
