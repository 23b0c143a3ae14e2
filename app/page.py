"""Assembles the page from its tabs."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from app import chat_tab, library_tab, result_tab, training_tab
from app.chat_events import ChatEvents
from app.library_events import LibraryEvents
from app.result_events import ResultEvents
from app.training_events import TrainingEvents

STYLES = [Path(__file__).with_name("style.css"), library_tab.STYLE, training_tab.STYLE, result_tab.STYLE]
TITLE = "LLaVA Loop"
SECONDS_BETWEEN_CLEANINGS, SECONDS_KEPT = 3_600, 86_400


def build_page(
    events: ChatEvents,
    library: LibraryEvents | None = None,
    training: TrainingEvents | None = None,
    results: ResultEvents | None = None,
) -> gr.Blocks:
    """The Blocks, ready to launch. Without `library`, `training` or `results` there is none, for anybody."""
    with gr.Blocks(
        title=TITLE,
        analytics_enabled=False,
        delete_cache=(SECONDS_BETWEEN_CLEANINGS, SECONDS_KEPT),
        fill_width=True,
    ) as page:
        chat_tab.build(events)
        if library is not None:
            library_tab.build(library)
        if training is not None:
            training_tab.build(training)
        if results is not None:
            result_tab.build(results)
    return page
