"""Weights on disk: what a checkpoint holds, how it is recognised, read, quantised and written."""

from __future__ import annotations

from ..checkpoint_errors import (
    CheckpointError,
    CheckpointFormatError,
    CheckpointNotFound,
    DeviceError,
    HubError,
    IncompleteCheckpoint,
    NoRoom,
    UnsupportedCheckpoint,
)
from .loaded_model import LoadedModel
from .loading import load
from .saving import save

__all__ = [
    "CheckpointError",
    "CheckpointFormatError",
    "CheckpointNotFound",
    "DeviceError",
    "HubError",
    "IncompleteCheckpoint",
    "LoadedModel",
    "NoRoom",
    "UnsupportedCheckpoint",
    "load",
    "save",
]
