"""The framework's theme in the page's own colours and type, so that every tab looks like one house.

One accent (a deep sea green) on warm greys. Fonts come from the machine: nothing is fetched.
"""

from __future__ import annotations

import gradio as gr

TEXT_FONTS = ("Seravek", "Avenir Next", "Segoe UI Variable Text", "Segoe UI", "Ubuntu", "Cantarell", "Noto Sans",
              "Liberation Sans", "Helvetica Neue", "sans-serif")  # fmt: skip
CODE_FONTS = ("ui-monospace", "SF Mono", "Cascadia Code", "JetBrains Mono", "Liberation Mono", "monospace")

ACCENT = gr.themes.Color(
    c50="#eef7f4", c100="#d7ebe5", c200="#b0d8cc", c300="#7fbfae", c400="#4fa38f", c500="#2f8672", c600="#1d6b5a",
    c700="#185749", c800="#15463c", c900="#113a32", c950="#08221d", name="sea",
)  # fmt: skip
GREYS = gr.themes.Color(
    c50="#faf9f6", c100="#f3f1ec", c200="#e7e4dc", c300="#d5d1c6", c400="#a8a396", c500="#7c776b", c600="#5c584e",
    c700="#44413a", c800="#2a2924", c900="#1c1b18", c950="#141310", name="stone",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """For `launch(theme=...)`."""
    return gr.themes.Base(
        primary_hue=ACCENT, secondary_hue=ACCENT, neutral_hue=GREYS, font=TEXT_FONTS, font_mono=CODE_FONTS
    ).set(
        body_background_fill="#fdfcfa",
        body_background_fill_dark="#171613",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        block_radius="12px",
    )
