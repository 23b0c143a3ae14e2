"""Makes one answer, token after token: the loop over the network's forward pass.

The caller may stop between any two tokens, also between the reading of the prompt and the first token.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from model.engine.errors import PromptTooLong
from model.engine.request import Finished, GenerationRequest, Piece
from model.engine.sampling import Sampler
from model.engine.stop_text import StopText
from model.engine.token_text import TokenText
from model.pixels import pixel_values

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel

Reason = Literal["stop", "length"]


def room_for_answer(request: GenerationRequest, context_tokens: int) -> int:
    """How many tokens the answer may have: what was asked for, clamped to what the context leaves.

    Raises PromptTooLong where not one token fits.
    """
    left = context_tokens - len(request.input_ids)
    if left < 1:
        raise PromptTooLong(len(request.input_ids), context_tokens)
    return min(request.sampling.max_new_tokens, left)


class Generation:
    """One answer in the making. `num_tokens` counts the tokens drawn so far, the end of sequence included."""

    def __init__(self, loaded: LoadedModel, request: GenerationRequest) -> None:
        self._loaded = loaded
        self._request = request
        self._max_tokens = room_for_answer(request, loaded.context_tokens)
        self._sampler = Sampler(request.sampling)
        self._stop_text = StopText(request.sampling.stop)
        self._token_text = TokenText(loaded.tokenizer)
        self._end_ids = end_of_sequence_ids(loaded)
        self._cache: Any = None
        self.num_tokens = 0

    def run(self) -> Iterator[Piece | Finished | None]:
        """Pieces as they are certain, Finished last; None after every step without text, a chance to stop."""
        logits = self._read_prompt()
        yield None
        while True:
            token_id = self._sampler.draw(logits)
            self.num_tokens += 1
            if token_id in self._end_ids:
                yield from self._last_pieces("stop")
                return
            yield self._as_piece(self._stop_text.feed(self._token_text.feed(token_id)))
            if self._stop_text.stopped:
                yield self._finished("stop")
                return
            if self.num_tokens >= self._max_tokens:
                yield from self._last_pieces("length")
                return
            logits = self._step(torch.tensor([[token_id]]), None)

    def _read_prompt(self) -> Tensor:
        """Reads the prompt with its pictures: ids [1, T], pixels [N, 3, H, W] -> the last position's logits [V]."""
        pictures = self._request.pictures
        pixels = (
            pixel_values([picture.image for picture in pictures], self._loaded.pixels) if pictures else None
        )
        return self._step(torch.tensor([self._request.input_ids]), pixels)

    def _step(self, input_ids: Tensor, pixels: Tensor | None) -> Tensor:
        """Ids [1, T] after what the cache holds -> the last position's logits [V]."""
        model = self._loaded.model
        output = model(
            input_ids=input_ids.to(model.device),
            pixel_values=None if pixels is None else pixels.to(model.device, model.dtype),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = output.past_key_values
        return output.logits[0, -1]

    def _last_pieces(self, reason: Reason) -> Iterator[Piece | Finished | None]:
        """What was held back turns out to be text, unless it holds a stop text itself."""
        text = self._stop_text.feed(self._token_text.rest())
        text += self._stop_text.rest()
        yield self._as_piece(text)
        yield self._finished("stop" if self._stop_text.stopped else reason)

    def _finished(self, reason: Reason) -> Finished:
        return Finished(reason, len(self._request.input_ids), self.num_tokens)

    @staticmethod
    def _as_piece(text: str) -> Piece | None:
        return Piece(text) if text else None


def end_of_sequence_ids(loaded: LoadedModel) -> frozenset[int]:
    """Every id that ends an answer: the generation config's, the language model's and the tokenizer's."""
    found: set[int] = set()
    sources = (
        loaded.model.generation_config.eos_token_id,
        loaded.model.config.text_config.eos_token_id,
        loaded.tokenizer.eos_token_id,
    )
    for value in sources:
        found.update(value if isinstance(value, list | tuple) else [] if value is None else [value])
    return frozenset(found)
