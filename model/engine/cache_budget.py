"""How much memory the keys and values of all answers may take together, where nobody says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch

from model.checkpoint.room import free_bytes

CUDA_SHARE = 0.85
"""Of what is free once the weights are there; the rest is for what a pass computes on its way."""
SHARED_SHARE = 0.25
"""Of the memory of a machine on which others live too: remembered prefixes are a comfort, not a need."""


def choose_budget(
    cache_bytes: int | None,
    devices: Sequence[torch.device],
    most_useful: int,
    free: Callable[[torch.device], int] = free_bytes,
) -> int:
    """`cache_bytes` if given, else what a share of `free` memory allows; never more than all slots at full length need.

    `devices` are the layers'. A token takes as much in each layer, so of several devices the one with the least memory
    for its layers says how many tokens there may be.
    """
    if cache_bytes is not None:
        return cache_bytes
    num_layers = Counter(devices)
    return min(
        most_useful,
        *(int(_share(each) * free(each) * len(devices) / number) for each, number in num_layers.items()),
    )


def _share(device: torch.device) -> float:
    return CUDA_SHARE if device.type == "cuda" else SHARED_SHARE
