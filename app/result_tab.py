"""The results of a run in the page: which events and feeds they have. Where they stand is for the training tab to say,
in an element `#results`."""

from __future__ import annotations

from pathlib import Path

from app import tab_wire
from app.result_events import ResultEvents

STYLE = Path(__file__).resolve().with_name("results.css")
EVENTS = (
    "show",
    "rows",
    "state",
    "load",
    "unload",
    "drop",
    "switch",
    "merge",
    "push",
    "halt",
    "ask",
    "asked",
)
FEEDS = ("shown", "rows", "state", "chat", "now", "said")


def build(events: ResultEvents) -> None:
    """Put the components of the results into the Blocks that are being built."""
    tab_wire.build("results", events, EVENTS, FEEDS)
