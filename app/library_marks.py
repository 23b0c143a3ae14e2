"""A logged text as HTML, with what a reviewer should notice marked: personal data, and the words that were searched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from conversations.personal_data import Found
from conversations.search_words import Span

KINDS = {"email": "e-mail address", "phone": "phone number", "card": "card number", "ip": "IP address"}


def marked_html(text: str, personal: Sequence[Found] = (), hits: Sequence[Span] = ()) -> str:
    """Every character of the text, escaped; a hit inside personal data is marked as both."""
    spans = [Span(found.start, found.end) for found in personal] + list(hits)
    edges = sorted({0, len(text), *(edge for span in spans for edge in span)})
    return "".join(
        _piece(text[start:end], _kind_at(personal, start), any(hit.start <= start < hit.end for hit in hits))
        for start, end in pairwise(edges)
    )


def _kind_at(personal: Sequence[Found], place: int) -> str | None:
    return next((found.kind for found in personal if found.start <= place < found.end), None)


def _piece(text: str, kind: str | None, is_hit: bool) -> str:
    shown = escape(text)
    if is_hit:
        shown = f'<mark class="hit">{shown}</mark>'
    if kind is not None:
        shown = (
            f'<mark class="personal" data-kind="{kind}" title="Personal data: {KINDS[kind]}">{shown}</mark>'
        )
    return shown
