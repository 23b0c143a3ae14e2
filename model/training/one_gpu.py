"""A run of one process sees the one GPU that it trains on. With several in view, transformers' Trainer would share its
batches out among them in threads of one process (DataParallel). Before torch is imported; no torch."""

from __future__ import annotations

from collections.abc import MutableMapping

VISIBLE = "CUDA_VISIBLE_DEVICES"
SEVERAL = "WORLD_SIZE"
"""Set by torchrun and accelerate, whose processes each choose a GPU of their own."""


def narrow(device: str, environment: MutableMapping[str, str]) -> str:
    """Leave in view what `TrainingConfig.device` names, and return what it is called then. What is not there is left
    to be refused by who looks for it."""
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cuda") or SEVERAL in environment or not (index or "0").isdecimal():
        return device
    place = int(index or 0)
    listed = environment.get(VISIBLE)
    names = (
        [str(place)]
        if listed is None
        else [name.strip() for name in listed.split(",") if name.strip()][place:]
    )
    if not names:
        return device
    environment[VISIBLE] = names[0]
    return kind
