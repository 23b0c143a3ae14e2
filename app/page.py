"""Assembles the page from its tabs."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from app import chat_tab
from app.chat_events import ChatEvents

STYLE = Path(__file__).with_name("style.css")
TITLE = "LLaVA Loop"
SECONDS_BETWEEN_CLEANINGS, SECONDS_KEPT = 3_600, 86_400


def build_page(events: ChatEvents) -> gr.Blocks:
    """The Blocks, ready to launch."""
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(SECONDS_BETWEEN_CLEANINGS, SECONDS_KEPT), fill_width=True
    ) as page:
        chat_tab.build(events)
    return page
