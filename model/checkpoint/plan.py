"""Which tensor of the model is read from where, and what is added to it on the way.

Every format ends up as one plan: a place for each name in memory, later files going before earlier ones; for a delta,
the place of what it is added to; for an adapter, its low-rank update. The plan is then read file by file, so that of
each set of files one is open, whatever the order of the tensors in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..checkpoint_errors import CheckpointFormatError
from .key_names import EMBEDDING_KEY, HEAD_KEY, is_computed
from .weights import Weights

if TYPE_CHECKING:
    from .lora import LoraUpdate


STORED_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
"""Formats that weights are written in again as they were; float32 holds what narrower ones do."""


@dataclass(frozen=True, slots=True)
class Place:
    """One tensor on disk."""

    weights: Weights
    key: str

    @property
    def file(self) -> Path:
        return self.weights.file_of(self.key)

    def read(self) -> Tensor:
        return self.weights.get(self.key)


@dataclass(slots=True)
class Plan:
    """Names are those in memory."""

    places: dict[str, Place] = field(default_factory=dict)
    bases: dict[str, Place] = field(default_factory=dict)  # what a delta is added to
    updates: dict[str, LoraUpdate] = field(default_factory=dict)
    num_rows: int | None = None  # of the vocabulary, where more than on disk
    new_rows: Place | None = None  # of the words' table, for tokens that were added to it
    new_rows_at: int = 0

    def take(self, weights: Weights, name_of: Callable[[str], str | None]) -> frozenset[str]:
        """Read these weights too, before what was planned. Returns the keys that `name_of` has no name for."""
        unknown = set()
        for key in weights.keys:
            name = name_of(key)
            if name is not None and not is_computed(key):
                self.places[name] = Place(weights, key)
            elif name is None and not is_computed(key):
                unknown.add(key)
        return frozenset(unknown)

    def add_to(self, base: Weights, name_of: Callable[[str], str | None]) -> None:
        """What is planned is the difference to these weights."""
        for key in base.keys:
            name = name_of(key)
            if name in self.places and not is_computed(key):
                self.bases[name] = Place(base, key)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(sorted({place.file for place in (*self.places.values(), *self.bases.values())}))

    @property
    def num_bytes(self) -> int:
        """Of the files that will be read."""
        return sum(path.stat().st_size for path in self.files)

    def read(self) -> Iterator[tuple[str, Tensor, torch.dtype]]:
        """Each name once, with its tensor on the CPU: as stored, or summed; perhaps a view: copy it. And the format
        that it has on disk, where a sum may be in a wider one."""

        def order(name: str) -> tuple[str, str, str]:
            base = self.bases.get(name)
            return str(self.places[name].file), str(base.file) if base else "", name

        for name in sorted(self.places, key=order):
            yield name, *self._tensor(name)
        self.close()

    def looked_through(self) -> Iterator[tuple[str, Tensor]]:
        """Each name whose tensor on disk must have the model's own shape, with that tensor; every file is opened."""
        grows = (EMBEDDING_KEY, HEAD_KEY) if self.num_rows is not None else ()
        for name, place in sorted(self.places.items(), key=lambda item: str(item[1].file)):
            tensor = place.read()
            if name in self.updates:
                self.updates[name].check(tensor, name)
            if name in self.bases:
                self.bases[name].read()
            elif name not in grows:
                yield name, tensor
        self.close()

    def close(self) -> None:
        for place in (*self.places.values(), *self.bases.values()):
            place.weights.close()

    def before_updates(self, name: str) -> Tensor | None:
        """One tensor of the base, on the CPU, perhaps a view; None where the plan has none of that name."""
        place, base = self.places.get(name), self.bases.get(name)
        if place is None or base is None:
            return None if place is None else place.read()
        return _summed(place.read(), base.read(), place, base)

    def _tensor(self, name: str) -> tuple[Tensor, torch.dtype]:
        place = self.places[name]
        tensor = place.read()
        if not tensor.is_floating_point():
            raise CheckpointFormatError(
                f"{place.file} holds {place.key} as {str(tensor.dtype).removeprefix('torch.')}; expected "
                "floating-point numbers. Choose the same checkpoint in full precision."
            )
        stored = tensor.dtype if tensor.dtype in STORED_DTYPES else torch.float32
        base = self.bases.get(name)
        if base is not None:
            tensor = _summed(tensor, base.read(), place, base)
        update = self.updates.get(name)
        if update is not None:
            tensor = update.applied_to(tensor, name)
        if self.num_rows is not None and name in (EMBEDDING_KEY, HEAD_KEY) and len(tensor) < self.num_rows:
            tensor = _grown(tensor, self.num_rows)
            if name == EMBEDDING_KEY and self.new_rows is not None:
                rows = self.new_rows.read()
                tensor[self.new_rows_at : self.new_rows_at + len(rows)] = rows.to(tensor.dtype)
        return tensor, stored


def _grown(table: Tensor, num_rows: int) -> Tensor:
    """[V, D] -> [num_rows, D], by rows that are the mean of all: in a head, the score of such a row is the mean of all
    scores, so it is never the highest."""
    mean = table.to(torch.float32).mean(dim=0, keepdim=True).to(table.dtype)
    return torch.cat([table, mean.expand(num_rows - len(table), -1)])


def _summed(delta: Tensor, base: Tensor, place: Place, base_place: Place) -> Tensor:
    """Delta plus base, rounded to the delta's format as the reference does (model/apply_delta.py, lines 21-33).

    Rows of the vocabulary that the base does not have are whole in the delta.
    """
    if delta.shape[1:] != base.shape[1:] or len(delta) < len(base):
        raise CheckpointFormatError(
            f"{place.file} is the difference to a {place.key} of at most {list(delta.shape)}, but in {base_place.file} "
            f"that is {list(base.shape)}; give the base that the delta was made from with --model-base."
        )
    merged = delta.to(torch.float32, copy=True)
    merged[: len(base)] += base.to(torch.float32)
    return merged.to(delta.dtype)
