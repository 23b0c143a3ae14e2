"""Who did what, in words that anybody understands, and without anybody's cookie."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.library_trail import can_undo, deed, person, trail_html
from conversations.actions import Action


def action(kind: str, value: Any, number: int = 1, undone: bool = False) -> Action:
    now = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
    return Action(7, "user:<ann>", kind, value, {}, number, now, now if undone else None)


@pytest.mark.parametrize(
    ("kind", "value", "number", "words"),
    [
        ("state", "approved", 1, "approved 1 answer"),
        ("state", "pending", 1200, "reopened 1,200 answers"),
        ("rate", "down", 1, "rated it down"),
        ("rate", None, 1, "took a rating back"),
        ("correct", True, 1, "wrote the right answer"),
        ("correct", False, 1, "took a correction back"),
        ("tags", [], 1, "set the tags of 1 answer to none"),
        ("tag", "x", 3, "added the tag x on 3 answers"),
        ("untag", "x", 3, "removed the tag x on 3 answers"),
        ("keep_one", "rejected", 4, "kept one of 5 near-duplicates"),
        ("undo", 3, 2, "took back an action on 2 answers"),
        ("private", True, 0, "made a conversation private"),
        ("export", 1200, 0, "exported 1,200 rows"),
        ("export", 1, 0, "exported 1 row"),
        ("import", 9, 0, "imported 9 conversations"),
        ("delete", None, 0, "deleted a conversation"),
    ],
)
def test_each_kind_is_the_end_of_a_sentence(kind: str, value: Any, number: int, words: str) -> None:
    assert deed(action(kind, value, number)) == words


def test_an_export_tells_its_format() -> None:
    made = replace(action("export", 12, 0), about={"format": "parquet", "selection": {}})
    assert deed(made) == "exported 12 rows as parquet" and not can_undo(made)


def test_names_are_shown_and_cookies_are_not() -> None:
    assert person("user:ann") == "ann" and person("user:ann", "user:ann") == "you"
    assert person("visitor:" + "3fa2" + "0" * 60) == "visitor 3fa2"
    shown = trail_html([action("state", "approved")], "")
    assert "&lt;ann&gt;" in shown and "<ann>" not in shown


def test_only_what_can_be_taken_back_has_a_button() -> None:
    good = action("state", "approved")
    assert can_undo(good) and "undo-action" in trail_html(
        [good], "", may_undo=lambda actor: actor == good.actor
    )
    assert "undo-action" not in trail_html([good], "", may_undo=lambda actor: actor == "user:root")
    for each in (
        action("state", "approved", undone=True),
        action("import", 3),
        action("state", "approved", 0),
    ):
        assert not can_undo(each) and "undo-action" not in trail_html([each], "", may_undo=lambda actor: True)
