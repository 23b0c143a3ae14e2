"""Tokens are drawn as temperature, top-k and top-p say, by the request's own chance and nothing else."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.engine.errors import GenerationFailed
from model.engine.request import SamplingSettings
from model.engine.sampling import draw, new_chance

ALL = SamplingSettings(temperature=1.0, top_p=1.0)


def drawn(logits: torch.Tensor, settings: SamplingSettings, times: int = 1) -> list[int]:
    """`times` draws from one row, one after another."""
    chance = new_chance(replace(settings, seed=settings.seed if settings.seed is not None else 1))
    tokens = [draw(logits[None], [settings], [chance])[0] for _ in range(times)]
    return [token for token in tokens if isinstance(token, int)]


def test_temperature_zero_is_the_likeliest() -> None:
    logits = torch.randn(5, 50, generator=torch.Generator().manual_seed(1))
    settings = [replace(ALL, temperature=0.0)] * 5
    assert draw(logits, settings, [random.Random()] * 5) == logits.argmax(dim=-1).tolist()


def test_frequencies_are_the_probabilities() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    counts = Counter(drawn(probabilities.log(), ALL, 4000))
    for token, probability in enumerate(probabilities.tolist()):
        assert abs(counts[token] / 4000 - probability) < 0.03
    warmer = Counter(drawn(probabilities.log(), replace(ALL, temperature=2.0), 4000))
    expected = torch.softmax(probabilities.log() / 2.0, dim=-1)
    assert abs(warmer[0] / 4000 - float(expected[0])) < 0.03


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (replace(ALL, top_p=0.5), {0}),
        (replace(ALL, top_p=0.51), {0, 1}),
        (replace(ALL, top_p=0.8), {0, 1}),
        (replace(ALL, top_k=3), {0, 1, 2}),
        (replace(ALL, top_k=3, top_p=0.82), {0, 1}),  # 0.5 and 0.3 are 0.84 of the three kept
        (replace(ALL, top_k=1), {0}),
        (replace(ALL, top_k=1000), {0, 1, 2, 3}),
        (replace(ALL, temperature=1e-30), {0}),
    ],
)
def test_top_k_and_top_p_keep_exactly_the_likeliest(settings: SamplingSettings, kept: set[int]) -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert set(drawn(logits, settings, 600)) == kept


@given(st.integers(0, 2**32), st.floats(0.05, 1.0), st.floats(0.1, 2.0))
def test_a_large_vocabulary_gives_what_sorting_all_of_it_gives(
    seed: int, top_p: float, temperature: float
) -> None:
    """The likeliest few are looked at first; where they do not reach top-p, all are."""
    logits = torch.randn(3000, generator=torch.Generator().manual_seed(seed)) * 2
    settings = SamplingSettings(temperature=temperature, top_p=top_p, seed=seed)
    probabilities, ids = torch.softmax(logits / temperature, dim=-1).sort(descending=True, stable=True)
    probabilities = probabilities.double()
    kept = probabilities * (probabilities.cumsum(0) - probabilities < top_p)
    place = torch.searchsorted(kept.cumsum(0), random.Random(seed).random() * float(kept.sum()), right=True)
    assert drawn(logits, settings) == [int(ids[place])]


def test_a_row_is_drawn_as_if_it_were_alone() -> None:
    logits = torch.randn(4, 300, generator=torch.Generator().manual_seed(2))
    settings = [SamplingSettings(temperature=1.0, top_p=0.9, seed=seed) for seed in range(4)]
    together = draw(logits, settings, [new_chance(each) for each in settings])
    alone = [draw(logits[[row]], [each], [new_chance(each)])[0] for row, each in enumerate(settings)]
    assert together == alone
    backwards = draw(logits.flip(0), settings[::-1], [new_chance(each) for each in settings[::-1]])
    assert backwards == together[::-1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_no_numbers_fail_their_row_only(value: float) -> None:
    logits = torch.zeros(2, 4)
    logits[0] = value
    first, second = draw(logits, [ALL, ALL], [random.Random(0)] * 2)
    assert isinstance(first, GenerationFailed) and isinstance(second, int)


def test_a_score_of_minus_infinity_only_rules_its_token_out() -> None:
    logits = torch.tensor([1.0, float("-inf"), 3.0])
    assert set(drawn(logits, ALL, 200)) == {0, 2}
    assert drawn(logits, replace(ALL, temperature=0.0)) == [2]
