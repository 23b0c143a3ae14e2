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
from .download import Progress
from .hub import Hub
from .loaded_model import LoadedModel
from .loading import load
from .saving import save

__all__ = [
    "CheckpointError",
    "CheckpointFormatError",
    "CheckpointNotFound",
    "DeviceError",
    "Hub",
    "HubError",
    "IncompleteCheckpoint",
    "LoadedModel",
    "NoRoom",
    "Progress",
    "UnsupportedCheckpoint",
    "load",
    "save",
]
