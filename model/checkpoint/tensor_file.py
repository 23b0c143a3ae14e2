"""One file of tensors, safetensors or pickled, open for reading one tensor at a time.

Files are mapped, not read: opening a 10 GB file costs nothing, and what was touched goes from memory again when the
file is closed. Pickles are opened with `weights_only=True` alone; one that wants anything but tensors is refused by the
name of what it wants.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..checkpoint_errors import CheckpointFormatError, CheckpointNotFound, UnsupportedCheckpoint

AGAIN_AFTER_BYTES = 64 * 2**20
"""A mapped file is opened anew after so much was read from it, so that what was read does not stay in memory."""

_WANTED = re.compile(r"(?:GLOBAL|Unsupported global: GLOBAL|Unsupported class) ([\w.]+)")


class TensorFile:
    """The tensors of one file by their keys on disk. Raises CheckpointError where the file cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_bytes = 0
        self._opened = self._open()

    def keys(self) -> Iterable[str]:
        return self._opened.keys()

    def get(self, key: str) -> Tensor:
        """The tensor as it is stored, on the CPU. It may be a view of the mapped file: copy it, then let it go."""
        if self._read_bytes > AGAIN_AFTER_BYTES:
            self.close()
            self._opened, self._read_bytes = self._open(), 0
        try:
            tensor = self._opened[key] if isinstance(self._opened, dict) else self._opened.get_tensor(key)
        except (KeyError, SafetensorError) as error:
            raise CheckpointFormatError(
                f"{self.path} has no readable tensor {key} ({error}), though one must be there; copy the file again."
            ) from error
        self._read_bytes += tensor.nbytes
        return tensor

    def close(self) -> None:
        self._opened = {}

    def _open(self):  # type: ignore[no-untyped-def]  # a dict, or safetensors' own class, which has no type
        if not self.path.is_file():
            raise CheckpointNotFound(f"{self.path} is not there; copy or download that file again.")
        if self.path.suffix == ".safetensors":
            return _opened_safetensors(self.path)
        return _opened_pickle(self.path)


def _opened_safetensors(path: Path):  # type: ignore[no-untyped-def]
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointFormatError(
            f"{path} is cut short or damaged ({error}; it has {path.stat().st_size:,} bytes); copy or download that "
            "file again."
        ) from error


def _opened_pickle(path: Path) -> dict[str, Tensor]:
    try:
        found = _loaded_pickle(path)
    except pickle.UnpicklingError as error:
        wanted = _WANTED.search(str(error))
        if wanted is None:
            raise _damaged(path, error) from error
        raise UnsupportedCheckpoint(
            f"{path} is a pickle that wants to load {wanted[1]}, which could run code; only pickles of tensors are "
            "opened. Choose a checkpoint in safetensors, or one whose file holds weights alone."
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise CheckpointFormatError(
            f"{path} holds no table of tensors by name, which weights are; copy or download that file again."
        )
    return dict(found)


def _loaded_pickle(path: Path) -> object:
    with path.open("rb") as file:
        is_archive = file.read(2) == b"PK"  # torch before 1.6 wrote plain pickles, which cannot be mapped
    return torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)


def _damaged(path: Path, error: Exception) -> CheckpointFormatError:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CheckpointFormatError(
        f"{path} is cut short or damaged ({first_line}; it has {path.stat().st_size:,} bytes); copy or download that "
        "file again."
    )
