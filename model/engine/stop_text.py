"""Ends an answer at its stop texts, on decoded text and never on token ids.

One text has many tokenisations (`###` is one token after a space and two after a word), so only the text can say where
an answer ends. A tail that could become a stop text is held back until it is clear: `#` and `##` never flash up.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopText:
    """Feed it pieces; it gives back what is certain to belong to the answer.

    Whatever the pieces' borders, all that was given back, with the rest() at the end, is the whole text cut at its
    first stop text. "First" is the earliest beginning; the answer ends there.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """`stops` may be empty; then every piece passes at once. Raises ValueError for an empty stop text."""
        if any(not stop for stop in stops):
            raise ValueError("a stop text is empty; leave it out or give it at least one character")
        self._stops = tuple(dict.fromkeys(stops))
        self._held = ""
        self.stopped = False

    def feed(self, piece: str) -> str:
        """The text that is now certain. After a stop text was met, always ""."""
        if self.stopped:
            return ""
        text = self._held + piece
        found = [position for position in map(text.find, self._stops) if position >= 0]
        held_from = self._first_open_tail(text)
        if found and min(found) <= held_from:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        self._held = text[held_from:]
        return text[:held_from]

    def rest(self) -> str:
        """What was held back, when the answer ends for another reason: it turned out to be text."""
        rest, self._held = self._held, ""
        if self.stopped:
            return ""
        found = [position for position in map(rest.find, self._stops) if position >= 0]
        self.stopped = bool(found)
        return rest[: min(found)] if found else rest

    def _first_open_tail(self, text: str) -> int:
        """Where the longest tail begins that is the beginning of a stop text, but not all of it."""
        longest = max((len(stop) for stop in self._stops), default=0)
        for start in range(max(0, len(text) - longest + 1), len(text)):
            tail = text[start:]
            if any(len(tail) < len(stop) and stop.startswith(tail) for stop in self._stops):
                return start
        return len(text)
