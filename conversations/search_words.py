"""What a word is, for search in both databases: the same function cuts texts, questions and highlights.

Upper and lower case are one and accents do not count. Scripts that write no spaces between words (Chinese,
Japanese, Thai and their neighbours) are cut into single characters, which a search then finds side by side. The
databases' own cutters differ from each other and know little of this, so they are only given what comes out here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

MAX_INDEXED_LENGTH = 200_000
"""Characters of one text that can be found; PostgreSQL takes at most a megabyte of words a row."""

MAX_WORD_LENGTH = 60
"""Longer words are found by their beginning."""

MIN_BEGINNING_LENGTH = 2
"""From so many letters on, what was typed may be the beginning of a word; half of all texts have a word that begins
with a given letter."""

SNIPPET_LENGTH = 120

_WORD = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003fa1f]"
    "|[^\\W_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003fa1f]+"
)


class Span(NamedTuple):
    """`text[start:end]`."""

    start: int
    end: int


class Snippet(NamedTuple):
    """A line cut out of a text, with what was searched for in it."""

    text: str
    hits: tuple[Span, ...]


def _words(text: str) -> Iterator[tuple[str, Span]]:
    for match in _WORD.finditer(text):
        yield _plain(match[0]), Span(*match.span())


def _plain(word: str) -> str:
    if word.isascii():
        return word.lower()[:MAX_WORD_LENGTH]
    parts = unicodedata.normalize("NFKD", word.casefold())
    # What folding and taking apart may bring to light (a space, a fraction's slash) is no part of a word.
    return "".join(part for part in parts if part.isalnum())[:MAX_WORD_LENGTH]


def indexed(text: str) -> str:
    """A text as the index gets it: its words, with single spaces between."""
    return " ".join(word for word, _ in _words(text[:MAX_INDEXED_LENGTH]) if word)


def searched(words: str) -> list[list[str]]:
    """What somebody typed -> one phrase for each part between spaces; `under_score` is two words side by side. The
    last word of a phrase may be only the beginning of one. Parts that hold no word at all are passed over."""
    phrases = ([word for word, _ in _words(part) if word] for part in words.split())
    return [phrase for phrase in phrases if phrase]


def highlights(text: str, phrases: Iterable[Sequence[str]]) -> tuple[Span, ...]:
    """Where the phrases stand in a text, in order, none overlapping another."""
    phrases = list(phrases)
    if not phrases:
        return ()
    found = [(word, span) for word, span in _words(text[:MAX_INDEXED_LENGTH]) if word]
    hits: set[Span] = set()
    for phrase in phrases:
        last, beginning = phrase[-1], may_begin(phrase[-1])
        for at, (word, span) in enumerate(found):
            if word != last and not (beginning and word.startswith(last)):
                continue
            first = at - len(phrase) + 1
            if first >= 0 and [word for word, _ in found[first:at]] == list(phrase[:-1]):
                hits.add(Span(found[first][1].start, span.end))
    apart: list[Span] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if not apart or hit.start >= apart[-1].end:
            apart.append(hit)
    return tuple(apart)


def may_begin(word: str) -> bool:
    """Whether this word of a search also finds the words that begin with it."""
    return len(word) >= MIN_BEGINNING_LENGTH


def snippet(text: str, phrases: Iterable[Sequence[str]]) -> Snippet:
    """The surroundings of the first hit; the beginning where there is none. Line breaks become spaces."""
    hits = highlights(text, phrases)
    start = max(0, hits[0].start - SNIPPET_LENGTH // 3) if hits else 0
    if start:  # not in the middle of a word
        start = next((at for at in range(start, hits[0].start) if text[at].isspace()), start - 1) + 1
    end = min(len(text), start + SNIPPET_LENGTH)
    line = re.sub(r"\s", " ", text[start:end])
    before, after = "…" if start else "", "…" if end < len(text) else ""
    moved = [
        Span(hit.start - start + len(before), min(hit.end, end) - start + len(before))
        for hit in hits
        if hit.start < end
    ]
    return Snippet(f"{before}{line}{after}", tuple(moved))
