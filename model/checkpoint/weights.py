"""The weight files of one folder: which there are, which tensor lies in which, one of them open at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from ..checkpoint_errors import CheckpointFormatError, CheckpointNotFound
from .tensor_file import TensorFile

WHOLE = ("model.safetensors", "pytorch_model.bin")
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
PROJECTOR_FILES = ("mm_projector.safetensors", "mm_projector.bin")


class Weights:
    """Tensors by their keys on disk. Only the file that was read last stays open."""

    def __init__(self, place: Mapping[str, Path]) -> None:
        self._place = dict(place)
        self._current: TensorFile | None = None

    @classmethod
    def of_files(cls, paths: Iterable[Path]) -> Weights:
        """All tensors of these files. Raises CheckpointError."""
        place: dict[str, Path] = {}
        for path in paths:
            file = TensorFile(path)
            place |= dict.fromkeys(file.keys(), path)
            file.close()
        return cls(place)

    @classmethod
    def of_folder(cls, folder: Path) -> Weights:
        """model.safetensors or pytorch_model.bin, whole or in shards. Raises CheckpointError."""
        for whole, index in zip(WHOLE, INDEXES, strict=True):
            if (folder / whole).is_file():
                return _not_empty(cls.of_files([folder / whole]), folder / whole)
            if (folder / index).is_file():
                return _not_empty(cls(_indexed(folder, folder / index)), folder / index)
        raise CheckpointNotFound(
            f"{folder} has no weights; expected {' or '.join(WHOLE)}, whole or in shards with their index. Copy "
            "them into it."
        )

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self._place)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(sorted(set(self._place.values())))

    def file_of(self, key: str) -> Path:
        return self._place[key]

    def get(self, key: str) -> Tensor:
        """As stored, on the CPU; perhaps a view of the mapped file: copy it, then let it go. Raises CheckpointError."""
        path = self._place[key]
        if self._current is None or self._current.path != path:
            self.close()
            self._current = TensorFile(path)
        return self._current.get(key)

    def close(self) -> None:
        if self._current is not None:
            self._current.close()
        self._current = None


def check_shards(folder: Path) -> None:
    """Raises CheckpointError where weights in shards are not all here."""
    for whole, index in zip(WHOLE, INDEXES, strict=True):
        if (folder / whole).is_file():
            return
        if (folder / index).is_file():
            _indexed(folder, folder / index)
            return


def has_weights(folder: Path) -> bool:
    """Whether there are weights of a whole model in it (an adapter's or a projector's alone are none)."""
    return any((folder / name).is_file() for name in (*WHOLE, *INDEXES))


def _not_empty(weights: Weights, file: Path) -> Weights:
    if not weights.keys:
        raise CheckpointFormatError(
            f"{file} holds no tensors, though a model's weights must be there; copy or download that file again."
        )
    return weights


def _indexed(folder: Path, index: Path) -> dict[str, Path]:
    """What the index says, once each file that it names is there."""
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(named.values()))
        if not all(isinstance(name, str) for name in (*named, *names)):
            raise TypeError("not a table of names")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointFormatError(f"{index} has no usable weight_map ({error}); copy it again.") from error
    for name in names:
        if Path(name).name != name:
            raise CheckpointFormatError(f"{index} names the file {name!r}; only files beside it are read.")
        if not (folder / name).is_file():
            raise CheckpointNotFound(
                f"{folder} lacks {name}, one of {len(names)} shards that {index.name} names; copy or download that "
                "file again."
            )
    return {key: folder / name for key, name in named.items()}
