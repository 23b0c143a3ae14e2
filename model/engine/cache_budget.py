"""How much memory the keys and values of all answers may take together, where nobody says it."""

from __future__ import annotations

import torch

from model.checkpoint.room import free_bytes

CUDA_SHARE = 0.85
"""Of what is free once the weights are there; the rest is for what a pass computes on its way."""
SHARED_SHARE = 0.25
"""Of the memory of a machine on which others live too: remembered prefixes are a comfort, not a need."""


def choose_budget(cache_bytes: int | None, device: torch.device, most_useful: int) -> int:
    """`cache_bytes` if given, else a share of what `device` has left; never more than all slots at full length need."""
    if cache_bytes is not None:
        return cache_bytes
    share = CUDA_SHARE if device.type == "cuda" else SHARED_SHARE
    return min(most_useful, int(share * free_bytes(device)))
