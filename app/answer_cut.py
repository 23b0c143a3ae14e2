"""Where an answer ends although its server goes on.

Our worker ends an answer at the template's stop. Another server that holds a model of the `###` templates may not know
of it: the model then writes the next turn's header, and goes on talking to itself. Only a header is cut (`### Human:`)
and a bare mark at the very end, never a heading such as `### Colours`. Texts at which the caller wants the answer to
end are cut here too where the server takes none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from conversations.template import ROLE_HEADERS

MARK = "###"
_HEADER = re.compile(rf"{MARK}\s{{0,8}}(?:{'|'.join(ROLE_HEADERS)})\s?:")
_BARE_AT_END = re.compile(rf"{MARK}\s*\Z")


def _prefixes(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        yield from (re.escape(word[:length]) for length in range(1, len(word) + 1))


_MAY_BECOME_HEADER = re.compile(
    rf"(?<!#)#{{1,3}}\Z|{MARK}\s{{0,8}}(?:(?:{'|'.join(_prefixes(ROLE_HEADERS))})\s?)?\Z"
)


class AnswerCut:
    """Takes pieces, gives back what is surely part of the answer. Once `is_cut`, nothing more is."""

    def __init__(self, stops: Sequence[str] = (), *, headers: bool = True) -> None:
        """`stops` are texts to end at, none empty; `headers`: also at the next turn's header."""
        self._stops = tuple(stops)
        self._headers = headers
        self._held = ""
        self.is_cut = False

    def feed(self, piece: str) -> str:
        """The text that is certain by now; what may be the beginning of an end waits."""
        if self.is_cut:
            return ""
        self._held += piece
        # The one that is whole first counts, however the text was cut into pieces.
        ends = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if self._headers and (header := _HEADER.search(self._held)):
            ends.append((header.end(), header.start()))
        if ends:
            self.is_cut = True
            return self._give(min(ends)[1])
        return self._give(min(self._beginnings(), default=len(self._held)))

    def rest(self) -> str:
        """What waited when the server ended the answer."""
        if self._headers and (bare := _BARE_AT_END.search(self._held)):
            self.is_cut = True
            return self._give(bare.start())
        return self._give(len(self._held))

    def _give(self, length: int) -> str:
        given, self._held = self._held[:length], "" if self.is_cut else self._held[length:]
        return given

    def _beginnings(self) -> Iterator[int]:
        """Where something begins at the held text's end that could become an end."""
        for stop in self._stops:
            for length in range(min(len(stop) - 1, len(self._held)), 0, -1):
                if self._held.endswith(stop[:length]):
                    yield len(self._held) - length
                    break
        if self._headers and (begun := _MAY_BECOME_HEADER.search(self._held)):
            yield begun.start()
