"""What can be wrong with a checkpoint: one tree, each message one or two sentences on file, fault and remedy."""

from __future__ import annotations


class CheckpointError(Exception):
    """A checkpoint cannot be read or written. The message names the file, the fault and the remedy."""


class CheckpointNotFound(CheckpointError):
    """The folder, or a file that must be in it, is not there."""


class CheckpointFormatError(CheckpointError):
    """A file is there but holds something else than it should."""


class UnsupportedCheckpoint(CheckpointError):
    """A checkpoint of a kind that this program does not read."""


class IncompleteCheckpoint(CheckpointError):
    """A checkpoint that needs another beside it (a base, a vision tower, an adapter), and that one is missing."""


class DeviceError(CheckpointError):
    """The asked device or number format is not to be had on this machine."""


class NoRoom(CheckpointError):
    """The disk or the memory is too small for it."""


class HubError(CheckpointError):
    """The Hub does not give what was asked for: offline, gated, missing, or cut off."""
