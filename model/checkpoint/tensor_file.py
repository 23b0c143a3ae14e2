"""One file of tensors, safetensors or pickled, open for reading one tensor at a time.

Files are mapped, not read: opening a 10 GB file costs nothing, and what was touched goes from memory again when the
file is closed. Pickles are opened by pickle_file.py, which refuses what is more than tensors.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..checkpoint_errors import CheckpointFormatError, CheckpointNotFound
from .pickle_file import open_pickle

AGAIN_AFTER_BYTES = 64 * 2**20
"""A mapped file is opened anew after so much was read from it, so that what was read does not stay in memory."""

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_WEB_PAGES = (b"<!doctype html", b"<html", b"<head", b"<?xml")


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
        _refuse_other_files(self.path)
        if self.path.suffix == ".safetensors":
            return _opened_safetensors(self.path)
        return open_pickle(self.path)


def _opened_safetensors(path: Path):  # type: ignore[no-untyped-def]
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointFormatError(
            f"{path} is cut short or damaged ({error}; it has {path.stat().st_size:,} bytes); copy or download that "
            "file again."
        ) from error


def _refuse_other_files(path: Path) -> None:
    """What stands in the place of weights when they were not really downloaded."""
    with path.open("rb") as file:
        beginning = file.read(256)
    if beginning.startswith(_LFS_POINTER):
        raise CheckpointFormatError(
            f"{path} is a pointer of git LFS ({path.stat().st_size:,} bytes), not the weights that it stands for; run "
            f"`git lfs pull` in {path.parent}, or download that file again."
        )
    if beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_WEB_PAGES):
        raise CheckpointFormatError(
            f"{path} is a web page, not weights: a site answered with something else; download that file again."
        )
