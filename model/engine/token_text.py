"""Token ids become text as they come, cut at whole characters. No torch here.

A character may need several tokens (byte fallback), and a word's leading space is only written once the word before it
is known; so the newest tokens are always decoded together with those before them, and what is not yet a whole character
waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Decoder(Protocol):
    """The part of a tokenizer that is used here."""

    def decode(self, token_ids: Sequence[int], **options: bool) -> str: ...


class TokenText:
    """The text of one answer. Leading white space is dropped: the template's own space stands before the answer."""

    def __init__(self, tokenizer: Decoder) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._context_from = 0  # decoded along with the new tokens, since their spacing depends on it
        self._new_from = 0
        self._begun = False

    def feed(self, token_id: int) -> str:
        """The whole characters that this token completes; "" while one is unfinished."""
        self._ids.append(token_id)
        before = self._decode(self._ids[self._context_from : self._new_from])
        text = self._decode(self._ids[self._context_from :])
        if len(text) <= len(before) or text.endswith(UNFINISHED):
            return ""
        self._context_from, self._new_from = self._new_from, len(self._ids)
        return self._without_leading_space(text[len(before) :])

    def rest(self) -> str:
        """What still waits when the answer ends; a character that was never finished is dropped."""
        before = self._decode(self._ids[self._context_from : self._new_from])
        text = self._decode(self._ids[self._context_from :])
        self._context_from = self._new_from = len(self._ids)
        return self._without_leading_space(text[len(before) :].rstrip(UNFINISHED))

    def _without_leading_space(self, text: str) -> str:
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        return text

    def _decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
