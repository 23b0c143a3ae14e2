"""From the tokens of one answer to the events that its reader gets. No torch here."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

from model.engine.request import Finished, Piece, SamplingSettings
from model.engine.stop_text import StopText
from model.engine.token_text import Decoder, TokenText

Reason = Literal["stop", "length"]


class AnswerStream:
    """Feed it token ids; it gives pieces that are certain, and Finished last. `num_tokens` counts what was fed."""

    def __init__(
        self,
        settings: SamplingSettings,
        decoder: Decoder,
        *,
        end_ids: Set[int],
        max_tokens: int,
        num_prompt_tokens: int,
    ) -> None:
        """`end_ids` end the answer without being part of it; `max_tokens` is what the context leaves at most."""
        self._stop_text = StopText(settings.stop)
        self._token_text = TokenText(decoder)
        self._end_ids = end_ids
        self._max_tokens = max_tokens
        self._num_prompt_tokens = num_prompt_tokens
        self.num_tokens = 0

    def feed(self, token_id: int) -> list[Piece | Finished]:
        """The events that this token brings; after Finished nothing may be fed."""
        self.num_tokens += 1
        if token_id in self._end_ids:
            return self._last("stop")
        text = self._stop_text.feed(self._token_text.feed(token_id))
        if self._stop_text.stopped:
            return [*_pieces(text), self._finished("stop")]
        if self.num_tokens >= self._max_tokens:
            return [*_pieces(text), *self._last("length")]
        return _pieces(text)

    def _last(self, reason: Reason) -> list[Piece | Finished]:
        """What was held back turns out to be text, unless it holds a stop text itself."""
        text = self._stop_text.feed(self._token_text.rest())
        text += self._stop_text.rest()
        return [*_pieces(text), self._finished("stop" if self._stop_text.stopped else reason)]

    def _finished(self, reason: Reason) -> Finished:
        return Finished(reason, self._num_prompt_tokens, self.num_tokens)


def _pieces(text: str) -> list[Piece | Finished]:
    return [Piece(text)] if text else []
