"""Linear layers that read the same rows, computed together where they can be, with adapters added row by row.

On a CPU a plain layer's weight is put into oneDNN's own order once, which makes a batch of a few rows two to three
times as fast as the plain product and one row no slower (docs/decisions/0008). Layers that are not plain, 8-bit and
4-bit ones above all, are called as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

_PACKED_FOR_ROWS = 32
"""oneDNN wants to know for how many rows it packs; one order serves all (docs/decisions/0008)."""
_FEWEST_ROWS = 4
"""In this order four rows are read faster than one, two or three (docs/decisions/0008); so fewer are filled up."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A low-rank change of one layer: x -> x + (x down) up, with the scale already in `up`."""

    down: Tensor  # [in, rank]
    up: Tensor  # [rank, out]


@dataclass(frozen=True, slots=True)
class AdaptedRows:
    """Rows `start` to `stop` of a batch belong to requests of one adapter; its changes by the layer's name."""

    start: int
    stop: int
    deltas: Mapping[str, Delta]


class Linears:
    """Named layers with a common input: rows [R, in] -> one [R, out] for each."""

    def __init__(self, layers: Mapping[str, nn.Module], *, take_weights: bool = False) -> None:
        """With `take_weights` the layers give up their own weights where a packed copy is made of them."""
        self._names = tuple(layers)
        self._modules = tuple(layers.values())
        self._widths: list[int] = []
        self._packed: Tensor | None = None
        self._bias: Tensor | None = None
        if all(_can_be_packed(module) for module in self._modules):
            self._pack()
            if take_weights:
                for module in self._modules:
                    module.weight.data = module.weight.data.new_empty(0)

    def __call__(self, rows: Tensor, adapted: Sequence[AdaptedRows] = ()) -> Sequence[Tensor]:
        results = self._together(rows) if self._packed is not None else [each(rows) for each in self._modules]
        for group in adapted:
            for name, result in zip(self._names, results, strict=True):
                delta = group.deltas.get(name)
                if delta is not None:
                    mine = rows[group.start : group.stop]
                    result[group.start : group.stop] += (mine @ delta.down) @ delta.up
        return results

    def _together(self, rows: Tensor) -> Sequence[Tensor]:
        num_rows = len(rows)
        if num_rows < _FEWEST_ROWS:
            rows = pad(rows, (0, 0, 0, _FEWEST_ROWS - num_rows))
        result = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self._bias, "none", [], "")[:num_rows]
        return result.split(self._widths, dim=-1) if len(self._widths) > 1 else (result,)

    def _pack(self) -> None:
        weights = [module.weight.data for module in self._modules]
        self._widths = [len(weight) for weight in weights]
        joined = torch.cat(weights) if len(weights) > 1 else weights[0]
        self._packed = torch.ops.mkldnn._reorder_linear_weight(joined, _PACKED_FOR_ROWS)
        biases = [module.bias for module in self._modules]
        if any(bias is not None for bias in biases):
            self._bias = torch.cat(
                [
                    weight.new_zeros(len(weight)) if bias is None else bias.data
                    for weight, bias in zip(weights, biases, strict=True)
                ]
            )


def _can_be_packed(module: nn.Module) -> bool:
    return (
        type(module) is nn.Linear  # not what is derived from it: quantised layers are
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
    )
