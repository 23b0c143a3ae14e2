"""The hidden components of a part of the page that only admins have: one that carries its events, one for each feed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from app.admin_events import AdminEvents
from app.visitors import owner_of


def build(part: str, events: AdminEvents[Any], names: Sequence[str], feeds: Sequence[str]) -> None:
    """Put them into the Blocks that are being built. The browser's `loop[part]` sends `part_NAME`, which the method
    NAME answers, and hears the feeds as `part_FEED`."""
    shown = [feed(f"{part}_{name}") for name in feeds]
    wire = gr.HTML(
        html_template="",
        elem_classes="wire",
        # The names are listed because the component offers the events that it finds here in quotes.
        js_on_load=f"loop.wires.{part}.connect(trigger); /* {' '.join(repr(f'{part}_{name}') for name in names)} */",
    )

    def answer(what: Callable[..., Any]) -> Callable[..., list[Any]]:
        def handler(event: gr.EventData, request: gr.Request) -> list[Any]:
            told = events.answered(what, owner_of(request.username, request.cookies), event._data)
            return [told.get(name, gr.skip()) for name in feeds]

        return handler

    for name in names:
        getattr(wire, f"{part}_{name}")(
            answer(getattr(events, name)),
            None,
            shown,
            queue=False,
            show_progress="hidden",
            trigger_mode="multiple",
            api_visibility="private",
        )


def feed(name: str) -> gr.HTML:
    """A hidden component whose value is the newest message of one kind."""
    return gr.HTML(html_template="", elem_classes="wire", js_on_load=f"loop.feed({name!r}, watch, props);")
