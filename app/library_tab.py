"""The library in the page: its part of the shell, and which events and feeds it has."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import get_args

from app import tab_wire
from app.library_events import LibraryEvents
from app.library_view import REASON_WORDS
from conversations.formats import FORMATS
from conversations.turns import FinishReason

FOLDER = Path(__file__).resolve().parent
STYLE = FOLDER / "library.css"
FEEDS = ("door", "queue", "item", "said", "groups", "outlook", "check", "jobs", "trail")
EVENTS = (
    "library", "queue", "item", "groups", "trail", "decide", "rate", "tags", "correct", "bulk", "keep", "undo",
    "outlook", "check", "export", "again", "jobs", "halt",
)  # fmt: skip


def build(events: LibraryEvents) -> None:
    """Put the library's components into the Blocks that are being built."""
    tab_wire.build("library", events, EVENTS, FEEDS)


def side_html() -> str:
    """The filters, for the side of the shell."""
    return (FOLDER / "library_side.html").read_text(encoding="utf-8").replace("FILTERS", filters_html())


def filters_html() -> str:
    """The fields of the filters, for any form whose answers they choose."""
    page = (FOLDER / "library_filters.html").read_text(encoding="utf-8")
    reasons = "".join(f'<option value="{name}">{words}</option>' for name, words in REASON_WORDS.items())
    endings = "".join(
        f'<option value="{name}">{name}</option>' for name in get_args(FinishReason) if name != "running"
    )
    return page.replace("REASONS", reasons).replace("ENDINGS", endings)


def stage_html() -> str:
    """The views, for the middle of the shell."""
    page = (FOLDER / "library_stage.html").read_text(encoding="utf-8")
    formats = "".join(
        f'<option value="{each.name}" title="{escape(each.read_by)}">{each.name}</option>'
        for each in FORMATS.values()
    )
    return page.replace("FORMATS", formats)
