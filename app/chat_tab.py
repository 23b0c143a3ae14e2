"""The chat in the page: the shell that a person sees, and the hidden components that carry messages to and fro.

An event carries ids and what was typed; an answer is a message for one of the feeds. The framework is the carrier only:
the conversation lies in no component, so nothing of it is hashed, copied or sent back with each piece of an answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import library_tab, own_events, tab_wire, training_tab
from app.browser_event import BrowserEvent
from app.chat_events import ChatEvents
from app.chat_feeds import Feeds
from app.judgement_view import reasons_html
from app.visitors import owner_of

FOLDER = Path(__file__).resolve().parent
EXAMPLES = FOLDER / "examples"
FEEDS = ("thread", "live", "list", "notice", "status", "prompt")
EVENTS = ("turn", "stop", "open", "version", "list", "restart", "prompt", "switch")
STATUS_SECONDS = 1.5
MAX_ANSWERS_AT_ONCE = 32
"""Streams that this page holds open; the worker has its own queue and says each one's place in it."""


def build(events: ChatEvents) -> None:
    """Put the chat into the Blocks that are being built."""
    gr.HTML(shell_html(), elem_id="shell", apply_default_css=False, js_on_load="loop.begin();")
    feeds = [tab_wire.feed(name) for name in FEEDS]
    wire = gr.HTML(
        html_template="",
        elem_classes="wire",
        # The names are listed because the component offers the events that it finds here in quotes.
        js_on_load=f"loop.connect(trigger); /* {' '.join(map(repr, EVENTS + own_events.EVENTS))} */",
    )

    def answer(what: Callable[[str, BrowserEvent], Feeds]) -> Callable[..., list[Any]]:
        def handler(event: gr.EventData, request: gr.Request) -> list[Any]:
            return _for_feeds(events.answered(what, _owner(request), event._data))

        return handler

    def turn(event: gr.EventData, request: gr.Request) -> Iterator[list[Any]]:
        address = request.client.host if request.client else None
        for message in events.streamed(_owner(request), event._data, address):
            yield _for_feeds(message)

    quiet: dict[str, Any] = {
        "show_progress": "hidden",
        "trigger_mode": "multiple",
        "api_visibility": "private",
    }
    wire.turn(turn, None, feeds, concurrency_limit=MAX_ANSWERS_AT_ONCE, **quiet)
    deeds = {name: getattr(events, name) for name in EVENTS[1:]}
    deeds |= {name: getattr(events.own, name) for name in own_events.EVENTS}
    for name, deed in deeds.items():
        getattr(wire, name)(answer(deed), None, feeds, queue=False, **quiet)

    def status(request: gr.Request) -> dict[str, Any]:
        told = events.answered(events.status, _owner(request) or "nobody", {})
        return told.get("status", gr.skip())

    timer = gr.Timer(STATUS_SECONDS)
    shown = feeds[FEEDS.index("status")]
    gr.on([timer.tick], status, None, shown, queue=False, show_progress="hidden", api_visibility="private")


def shell_html() -> str:
    """The page's frame with the examples and the parts of the other views put in."""
    page = (FOLDER / "shell.html").read_text(encoding="utf-8").replace("EXAMPLES", _examples_html())
    page = page.replace("REASON_BOXES", reasons_html())
    for name, tab in (("LIBRARY", library_tab), ("TRAINING", training_tab)):
        page = page.replace(f"{name}_SIDE", tab.side_html()).replace(f"{name}_STAGE", tab.stage_html())
    return page


def head_html() -> str:
    """The page's own scripts, in order, in the document itself: one request less, and none to elsewhere."""
    scripts = [path.read_text(encoding="utf-8") for path in sorted((FOLDER / "browser").glob("*.js"))]
    return "".join(f"<script>{script}</script>" for script in scripts)


def _examples_html() -> str:
    listed = EXAMPLES / "examples.json"
    if not listed.is_file():
        return ""
    examples = json.loads(listed.read_text(encoding="utf-8"))
    return "".join(
        f'<button type="button" class="example" data-do="example" data-picture="examples/{escape(each["picture"])}" '
        f'data-question="{escape(each["question"])}"><img src="examples/{escape(each["picture"])}" alt="" '
        f'loading="lazy" draggable="false"><span>{escape(each["question"])}</span></button>'
        for each in examples
    )


def _owner(request: gr.Request) -> str | None:
    return owner_of(request.username, request.cookies)


def _for_feeds(messages: Feeds) -> list[Any]:
    return [messages.get(name, gr.skip()) for name in FEEDS]
