"""The library in the page: its part of the shell, and the hidden components that carry its events and feeds."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from app.library_events import Feeds, LibraryEvents
from app.library_request import LibraryRequest
from app.library_view import REASON_WORDS
from app.visitors import owner_of
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
    feeds = [_feed(name) for name in FEEDS]
    wire = gr.HTML(
        html_template="",
        elem_classes="wire",
        # The names are listed because the component offers the events that it finds here in quotes.
        js_on_load=f"loop.library.connect(trigger); /* {' '.join(repr(f'library_{name}') for name in EVENTS)} */",
    )

    def answer(what: Callable[[str, LibraryRequest], Feeds]) -> Callable[..., list[Any]]:
        def handler(event: gr.EventData, request: gr.Request) -> list[Any]:
            owner = owner_of(request.username, request.cookies)
            told = events.answered(what, owner, event._data)
            return [told.get(name, gr.skip()) for name in FEEDS]

        return handler

    for name in EVENTS:
        getattr(wire, f"library_{name}")(
            answer(getattr(events, name)),
            None,
            feeds,
            queue=False,
            show_progress="hidden",
            trigger_mode="multiple",
            api_visibility="private",
        )


def side_html() -> str:
    """The filters, for the side of the shell."""
    page = (FOLDER / "library_side.html").read_text(encoding="utf-8")
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


def _feed(name: str) -> gr.HTML:
    return gr.HTML(
        html_template="", elem_classes="wire", js_on_load=f"loop.feed({'library_' + name!r}, watch, props);"
    )
