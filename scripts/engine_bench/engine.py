"""Our engine as the worker builds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.engine.slot_engine import NUM_SLOTS, SlotEngine

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel


def new_engine(loaded: LoadedModel, num_slots: int = NUM_SLOTS) -> SlotEngine:
    """With the worker's defaults, but for `num_slots` where given. Nobody else uses `loaded.model` afterwards."""
    return SlotEngine(loaded, num_slots=num_slots, take_weights=True)
