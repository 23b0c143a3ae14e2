"""Samples as batches: padded on the right, pictures in the order of their places, unreadable ones counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

from model.training.dataset import IGNORED, SampleDataset, collate
from model.training.samples import Sample

PATCHES, WIDTH = 2, 3


class Source:
    """Features that tell which picture they are of; `broken` cannot be read."""

    key = "tower_features"

    def __init__(self, broken: int = -1) -> None:
        self._broken = broken

    def get(self, places: Sequence[int]) -> Tensor:
        if self._broken in places:
            raise OSError("broken")
        return torch.stack([torch.full((PATCHES, WIDTH), float(place)) for place in places])


samples = st.builds(
    lambda ids, seed, pictures: Sample(
        np.array(ids, dtype=np.int32), np.random.default_rng(seed).random(len(ids)) < 0.4, tuple(pictures)
    ),
    st.lists(st.integers(0, 900), min_size=1, max_size=30),
    st.integers(0, 99),
    st.lists(st.integers(0, 9), max_size=3),
)


def data_of(given_samples: list[Sample], broken: int = -1) -> SampleDataset:
    source: Any = Source(broken)
    return SampleDataset(given_samples, source)


@given(st.lists(samples, min_size=1, max_size=5))
def test_a_batch_holds_its_samples_and_nothing_else(given_samples: list[Sample]) -> None:
    data = data_of(given_samples)
    batch = collate([data[index] for index in range(len(data))])
    longest = max(data.lengths)
    assert batch["input_ids"].shape == batch["labels"].shape == (len(data), longest)
    for row, sample in enumerate(given_samples):
        length = len(sample.input_ids)
        assert batch["input_ids"][row, :length].tolist() == sample.input_ids.tolist()
        learned = batch["labels"][row] != IGNORED
        assert learned[:length].tolist() == sample.trained.tolist()
        assert batch["labels"][row][learned].tolist() == sample.input_ids[sample.trained].tolist()
        assert not learned[length:].any()
        assert batch["attention_mask"][row].tolist() == [1] * length + [0] * (longest - length)
    shown = [place for sample in given_samples for place in sample.pictures]
    found = batch["tower_features"][:, 0, 0].tolist() if "tower_features" in batch else []
    assert found == shown
    assert data.has_picture == [bool(sample.pictures) for sample in given_samples]


@given(st.lists(samples, min_size=1, max_size=5), st.integers(0, 9))
def test_of_a_picture_that_cannot_be_read_nothing_is_learned(
    given_samples: list[Sample], broken: int
) -> None:
    data = data_of(given_samples, broken)
    batch = collate([data[index] for index in range(len(data))])
    hit = [broken in sample.pictures for sample in given_samples]
    assert data.num_skipped == sum(hit)
    for row, sample in enumerate(given_samples):
        learned = int((batch["labels"][row] != IGNORED).sum())
        assert learned == (0 if hit[row] else int(sample.trained.sum()))
    if not all(hit[row] for row, sample in enumerate(given_samples) if sample.pictures):
        assert len(batch["tower_features"]) == sum(len(sample.pictures) for sample in given_samples)


def test_what_a_loaders_process_skips_is_counted() -> None:
    made = [Sample(np.arange(4, dtype=np.int32), np.ones(4, dtype=bool), (place,)) for place in range(4)]
    data = data_of(made, broken=2)
    for _ in range(2):
        assert len(list(DataLoader(data, batch_size=2, collate_fn=collate, num_workers=1))) == 2
    assert data.num_skipped == 1


def test_positions_go_on_through_the_padding() -> None:
    items = [
        {"input_ids": torch.arange(3), "labels": torch.arange(3), "position_ids": torch.tensor([0, 1, 9])},
        {"input_ids": torch.arange(5), "labels": torch.arange(5), "position_ids": torch.arange(5)},
    ]
    assert collate(items)["position_ids"].tolist() == [[0, 1, 9, 3, 4], [0, 1, 2, 3, 4]]
