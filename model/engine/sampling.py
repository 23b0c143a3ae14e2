"""Draws the next token: greedy, or by temperature and top-p with a generator of the request's own."""

from __future__ import annotations

import secrets

import torch
from torch import Tensor

from model.engine.errors import GenerationFailed
from model.engine.request import SamplingSettings


class Sampler:
    """One request's way of drawing. The same seed draws the same tokens, whatever else runs beside it."""

    def __init__(self, settings: SamplingSettings) -> None:
        self._temperature = settings.temperature
        self._top_p = settings.top_p
        # On the CPU, so that a seed means the same on every device.
        self._generator = torch.Generator(device="cpu")
        self._generator.manual_seed(secrets.randbits(63) if settings.seed is None else settings.seed)

    def draw(self, logits: Tensor) -> int:
        """The next token's id from the last position's logits [V]. Raises GenerationFailed where they are no numbers.

        -inf rules a token out and is a number here, unless it is all there is.
        """
        if not bool(torch.isfinite(logits.max())):  # the maximum is NaN as soon as one of them is
            raise GenerationFailed(
                "scores that are no numbers",
                "the network's numbers grew too large for their format, or its weights are broken",
                "Load it with --dtype float32.",
            )
        if self._temperature == 0.0:
            return int(logits.argmax())
        probabilities = torch.softmax(logits.float().cpu() / self._temperature, dim=-1)  # [V]
        if not bool(torch.isfinite(probabilities).all()):
            return int(logits.argmax())  # a temperature next to 0 overflows; its limit is greedy
        sorted_probabilities, ids = probabilities.sort(descending=True)
        before = sorted_probabilities.cumsum(dim=-1) - sorted_probabilities
        sorted_probabilities[before >= self._top_p] = 0.0  # the likeliest always stays: nothing is before it
        place = torch.multinomial(sorted_probabilities, 1, generator=self._generator)
        return int(ids[place])
