"""What somebody made of an answer, as HTML: the thumb with its reasons and note, and the right answer beside it."""

from __future__ import annotations

from html import escape

from app.answer_markup import answer_html, attribute_html
from app.library_view import REASON_WORDS
from app.tool_view import tool
from conversations.turns import Turn

_RATED = {"up": "Rated good", "down": "Rated bad"}


def thumbs_html(turn: Turn) -> str:
    """The tools to judge an answer with."""
    up, down = turn.rating == "up", turn.rating == "down"
    label = "Write the right answer" if turn.correction is None else "Change the right answer"
    return (
        tool("rate", "A good answer", "up", value="up", pressed=up)
        + tool("rate", "A bad answer", "down", value="down", pressed=down)
        + tool("correct", label, "pen", popup="correct")
    )


def data_html(turn: Turn) -> str:
    """What the page's forms begin with, as attributes of the answer's article."""
    held = {"rating": turn.rating or "", "reasons": " ".join(turn.reasons), "note": turn.note}
    if turn.correction is not None:
        held["correction"] = turn.correction
    return "".join(f' data-{name}="{attribute_html(value)}"' for name, value in held.items())


def reasons_html() -> str:
    """What may be wrong with an answer, to be ticked."""
    return "".join(
        f'<label class="reason"><input type="checkbox" name="reason" value="{reason}">{words}</label>'
        for reason, words in REASON_WORDS.items()
    )


def verdict_html(turn: Turn) -> str:
    """One line on the rating, with the way to its reasons and note."""
    if turn.rating is None:
        return ""
    words = ", ".join(REASON_WORDS[reason] for reason in turn.reasons)
    said = f"{_RATED[turn.rating]}: {words}" if words else _RATED[turn.rating]
    note = f'<q dir="auto">{escape(turn.note)}</q>' if turn.note else ""
    label = "Change" if words or note else ("Say why" if turn.rating == "down" else "Add a note")
    button = f'<button type="button" class="link" data-do="judge" aria-haspopup="dialog">{label}</button>'
    return f'<p class="verdict" data-rating="{turn.rating}"><span>{said}</span>{note}{button}</p>'


def correction_html(turn: Turn) -> str:
    """The right answer, to stand beside the one that was given; "" where nobody wrote any."""
    if turn.correction is None:
        return ""
    return (
        '<section class="right" aria-label="The right answer"><h4>The right answer</h4>'
        f'<div class="answer" dir="auto">{answer_html(turn.correction)}</div></section>'
    )
