"""How much the cache may take, with given numbers of free memory: a GPU is not needed."""

from __future__ import annotations

import pytest
import torch

from model.engine.cache_budget import CUDA_SHARE, SHARED_SHARE, choose_budget

CPU, FIRST, SECOND = torch.device("cpu"), torch.device("cuda", 0), torch.device("cuda", 1)
ANY = 10**15


def free(device: torch.device) -> int:
    return {CPU: 8_000, FIRST: 10_000, SECOND: 4_000}[device]


def test_what_is_given_is_taken_whatever_is_free() -> None:
    assert choose_budget(123_456, [FIRST], 10, free) == 123_456


@pytest.mark.parametrize(("device", "share"), [(FIRST, CUDA_SHARE), (CPU, SHARED_SHARE)])
def test_else_a_share_of_what_is_free_on_the_device(device: torch.device, share: float) -> None:
    assert choose_budget(None, [device] * 12, ANY, free) == int(share * free(device))
    assert 0.5 < CUDA_SHARE < 1 and 0 < SHARED_SHARE < 0.5


def test_no_more_than_all_answers_at_full_length_need() -> None:
    assert choose_budget(None, [FIRST], 500, free) == 500


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ([FIRST] * 6 + [SECOND] * 6, 2 * CUDA_SHARE * 4_000),  # the second one's half is the smaller one
        (
            [FIRST] * 9 + [SECOND] * 3,
            12 / 9 * CUDA_SHARE * 10_000,
        ),  # now the first has the least for its layers
        ([FIRST] * 10 + [CPU] * 2, 12 / 10 * CUDA_SHARE * 10_000),
        ([FIRST] * 1 + [CPU] * 11, 12 / 11 * SHARED_SHARE * 8_000),
    ],
)
def test_of_several_devices_the_one_with_the_least_for_its_layers_counts(
    devices: list[torch.device], expected: float
) -> None:
    budget = choose_budget(None, devices, ANY, free)
    assert budget == int(expected)
    for device in set(devices):
        share = CUDA_SHARE if device.type == "cuda" else SHARED_SHARE
        taken = budget * devices.count(device) / len(devices)
        assert taken <= share * free(device), "what lies there fits into its share"


def test_the_machines_own_numbers_give_some_budget() -> None:
    assert choose_budget(None, [CPU] * 4, ANY) > 0
