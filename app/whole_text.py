"""Text as it may be kept and shown, whatever a server's JSON held: no half of a surrogate pair.

JSON can name half a character (`"\\ud83d"`), which no database and no page can encode; and a server that counts in
UTF-16 may send a character's two halves in two pieces.
"""

from __future__ import annotations


def whole_text(text: str) -> str:
    """Two halves become their character, one alone becomes a replacement character."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class WholePieces:
    """Pieces of one text, in their order; a first half at a piece's end waits for the next piece."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What is whole now, perhaps nothing."""
        text, self._held = self._held + piece, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return whole_text(text)

    def rest(self) -> str:
        """What still waits at the end, as a replacement character."""
        held, self._held = self._held, ""
        return whole_text(held)
