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
_product = torch.ops.mkldnn._linear_pointwise.default
_product_plus = torch.ops.mkldnn._linear_pointwise.binary


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
    """Named layers with a common input: rows [R, in] -> their results side by side, [R, the sum of their outs]."""

    def __init__(self, layers: Mapping[str, nn.Module], *, take_weights: bool = False) -> None:
        """With `take_weights` the layers give up their own weights where a packed copy is made of them."""
        self._names = tuple(layers)
        self._modules = tuple(layers.values())
        self._widths = [module.out_features for module in self._modules]
        self._packed: Tensor | None = None
        self._bias: Tensor | None = None
        if all(_can_be_packed(module) for module in self._modules):
            self._pack()
            if take_weights:
                for module in self._modules:
                    module.weight.data = module.weight.data.new_empty(0)

    @property
    def fewest_rows(self) -> int:
        """Fewer rows than these are filled up for the product; who has several products to come fills up once."""
        return 1 if self._packed is None else _FEWEST_ROWS

    def __call__(
        self, rows: Tensor, adapted: Sequence[AdaptedRows] = (), *, plus: Tensor | None = None
    ) -> Tensor:
        """`plus` [R, the sum of their outs] is added to the results."""
        result = self._by_module(rows, plus) if self._packed is None else self._together(rows, plus)
        if adapted:
            self._adapt(rows, result, adapted)
        return result

    def _by_module(self, rows: Tensor, plus: Tensor | None) -> Tensor:
        results = [module(rows) for module in self._modules]
        result = torch.cat(results, dim=-1) if len(results) > 1 else results[0]
        return result if plus is None else result.add_(plus)

    def _together(self, rows: Tensor, plus: Tensor | None) -> Tensor:
        num_rows = len(rows)
        if num_rows < _FEWEST_ROWS:
            filler = (0, 0, 0, _FEWEST_ROWS - num_rows)
            rows, plus = pad(rows, filler), None if plus is None else pad(plus, filler)
        if plus is None:
            result = _product(rows, self._packed, self._bias, "none", [], "")
        else:
            result = _product_plus(rows, plus, self._packed, self._bias, "add")
        return result[:num_rows] if num_rows < _FEWEST_ROWS else result

    def _adapt(self, rows: Tensor, result: Tensor, adapted: Sequence[AdaptedRows]) -> None:
        for name, part in zip(self._names, result.split(self._widths, dim=-1), strict=True):
            for group in adapted:
                delta = group.deltas.get(name)
                if delta is not None:
                    mine = rows[group.start : group.stop]
                    part[group.start : group.stop] += (mine @ delta.down) @ delta.up

    def _pack(self) -> None:
        weights = [module.weight.data for module in self._modules]
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
