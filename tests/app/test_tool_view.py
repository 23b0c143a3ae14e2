"""The small buttons: named for the eye and the ear, told apart by what they do."""

from __future__ import annotations

from app.tool_view import icon, tool


def test_a_tool_says_what_it_does_and_carries_its_value_and_state() -> None:
    html = tool("rate", "A good answer", "up", value="up", pressed=True)
    for part in (
        'data-do="rate"',
        'data-value="up"',
        'aria-label="A good answer"',
        'aria-pressed="true"',
        icon("up"),
    ):
        assert part in html
    assert "disabled" not in html


def test_a_plain_tool_has_neither_value_nor_state() -> None:
    html = tool("copy", "Copy", "copy", disabled=True)
    assert "data-value" not in html and "aria-pressed" not in html and " disabled" in html
