"""Where an answer ends although its server goes on.

Our worker ends an answer at the template's stop. Another server that holds a model of the `###` templates may not know
of it: the model then goes on talking to itself. Its mark comes straight after the answer's last character, or stands
before the next turn's header, or at the very end; a heading such as `### Colours` begins a line, and is left alone.
Texts at which the caller wants the answer to end are cut here too where the server takes none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from conversations.template import ROLE_HEADERS

MARK = "###"
_HEADER = re.compile(rf"{MARK}\s{{0,8}}(?:{'|'.join(ROLE_HEADERS)})\s?:")
_AFTER_TEXT = re.compile(rf"(?<=[^\s#]){MARK}(?=[^#])")
_BARE_AT_END = re.compile(rf"(?<!#){MARK}\s*\Z")


def _prefixes(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        yield from (re.escape(word[:length]) for length in range(1, len(word) + 1))


_MAY_BECOME_ONE = re.compile(
    rf"(?<!#)#{{1,3}}\Z|{MARK}\s{{0,8}}(?:(?:{'|'.join(_prefixes(ROLE_HEADERS))})\s?)?\Z"
)


class AnswerCut:
    """Takes pieces, gives back what is surely part of the answer. Once `is_cut`, nothing more is."""

    def __init__(self, stops: Sequence[str] = (), *, marks: bool = True) -> None:
        """`stops` are texts to end at, none empty; `marks`: also at the templates' mark."""
        self._stops = tuple(stops)
        self._marks = marks
        self._before = ""  # the last character that was given: whether a mark follows text depends on it
        self._held = ""
        self.is_cut = False

    def feed(self, piece: str) -> str:
        """The text that is certain by now; what may be the beginning of an end waits."""
        if self.is_cut:
            return ""
        self._held += piece
        ends = list(self._ends())
        if ends:
            self.is_cut = True
            return self._give(min(ends)[1])
        return self._give(min(self._beginnings(), default=len(self._held)))

    def rest(self) -> str:
        """What waited when the server ended the answer."""
        if self._marks and (bare := _BARE_AT_END.search(self._seen, len(self._before))):
            self.is_cut = True
            return self._give(bare.start() - len(self._before))
        return self._give(len(self._held))

    @property
    def _seen(self) -> str:
        return self._before + self._held

    def _give(self, length: int) -> str:
        given, self._held = self._held[:length], "" if self.is_cut else self._held[length:]
        self._before = given[-1:] or self._before
        return given

    def _ends(self) -> Iterator[tuple[int, int]]:
        """Where an end is whole, and where it begins. The one that is whole first counts, however the pieces come."""
        for stop in self._stops:
            if (at := self._held.find(stop)) >= 0:
                yield at + len(stop), at
        if self._marks:
            given = len(self._before)
            if header := _HEADER.search(self._seen, given):
                yield header.end() - given, header.start() - given
            if mark := _AFTER_TEXT.search(self._seen, given):
                yield mark.end() + 1 - given, mark.start() - given

    def _beginnings(self) -> Iterator[int]:
        """Where something begins at the held text's end that could become an end."""
        for stop in self._stops:
            for length in range(min(len(stop) - 1, len(self._held)), 0, -1):
                if self._held.endswith(stop[:length]):
                    yield len(self._held) - length
                    break
        if self._marks and (begun := _MAY_BECOME_ONE.search(self._seen, len(self._before))):
            yield begun.start() - len(self._before)
