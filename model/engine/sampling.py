"""Draws the next tokens: greedy, or by temperature, top-k and top-p with a request's own chance.

A draw turns one random number into a token by the cumulative probabilities of the tokens that are kept, likeliest
first, so that a seed gives the same text in whatever batch and on whatever device. Sorting a whole vocabulary for every
token is slow; the likeliest few nearly always hold all that top-p keeps, and only where they do not, all are sorted.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence

import torch
from torch import Tensor

from model.engine.errors import GenerationFailed
from model.engine.request import SamplingSettings

_LIKELIEST = 128


def new_chance(settings: SamplingSettings) -> random.Random:
    """The request's own source of random numbers."""
    return random.Random(secrets.randbits(63) if settings.seed is None else settings.seed)


def draw(
    logits: Tensor, settings: Sequence[SamplingSettings], chances: Sequence[random.Random]
) -> list[int | GenerationFailed]:
    """The next token's id for each row of logits [R, V], or why it has none: its scores are no numbers.

    -inf rules a token out and is a number here, unless it is all there is.
    """
    best_ids = _best_ids(logits)
    best = logits[range(len(best_ids)), best_ids]
    drawn: list[int | GenerationFailed] = []
    for row, (is_number, best_id) in enumerate(zip(torch.isfinite(best).tolist(), best_ids, strict=True)):
        if not is_number:
            drawn.append(_no_numbers())
        elif settings[row].temperature == 0.0:
            drawn.append(best_id)
        else:
            drawn.append(_draw_one(logits[row], settings[row], chances[row], best_id))
    return drawn


def _best_ids(logits: Tensor) -> list[int]:
    """Of each row the token with the highest score, or one whose score is NaN where there is any."""
    if logits.device.type == "cpu":
        # NumPy's takes 4 µs for a row of 32,000, PyTorch's 30, and with two threads the more.
        return [int(row.argmax()) for row in logits.float().numpy()]
    return logits.argmax(dim=-1).tolist()


def _draw_one(logits: Tensor, settings: SamplingSettings, chance: random.Random, best_id: int) -> int:
    """One token from logits [V]."""
    probabilities = torch.softmax(logits.float() / settings.temperature, dim=-1)  # [V]
    if not bool(torch.isfinite(probabilities).all()):
        return best_id  # a temperature next to 0 overflows; its limit is greedy
    if settings.top_k:
        kept, ids = _likeliest(probabilities, settings.top_k)
        kept /= kept.sum()
    else:
        kept, ids = _likeliest(probabilities, _LIKELIEST)
        if float(kept.sum()) < settings.top_p:
            kept, ids = _likeliest(probabilities, len(probabilities))
    before = kept.cumsum(dim=-1) - kept
    kept[before >= settings.top_p] = 0.0  # the likeliest always stays: nothing is before it
    reached = kept.cumsum(dim=-1)
    place = int(torch.searchsorted(reached, chance.random() * float(reached[-1]), right=True))
    return int(ids[min(place, int((kept > 0).sum()) - 1)])


def _likeliest(probabilities: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The `number` largest of [V], largest first, on the CPU in float64; of equal ones the lower id comes first."""
    values, ids = probabilities.topk(min(number, len(probabilities)))
    return values.double().cpu(), ids.cpu()


def _no_numbers() -> GenerationFailed:
    return GenerationFailed(
        "scores that are no numbers",
        "the network's numbers grew too large for their format, or its weights are broken",
        "Load it with --dtype float32.",
    )
