"""One JSON file of a checkpoint folder: read whole, checked for being an object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..checkpoint_errors import CheckpointFormatError, CheckpointNotFound

LARGEST_BYTES = 64 * 2**20
"""Far above any config or vocabulary; a larger file is none."""


def read_object(path: Path, *, may_lack: bool = False) -> dict[str, Any]:
    """What the file holds; {} where it is not there and `may_lack`. Raises CheckpointError."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise CheckpointFormatError(
                f"{path} has {path.stat().st_size:,} bytes, too many for its kind; copy it again."
            )
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if may_lack:
            return {}
        raise CheckpointNotFound(f"{path} is not there; copy the checkpoint again.") from error
    except (
        ValueError,
        RecursionError,
        OSError,
    ) as error:  # also wrong UTF-8, and numbers of thousands of digits
        raise CheckpointFormatError(f"{path} is not JSON ({error}); copy the checkpoint again.") from error
    if not isinstance(values, dict):
        raise CheckpointFormatError(
            f"{path} must hold a JSON object, not {type(values).__name__}; copy it again."
        )
    return values
