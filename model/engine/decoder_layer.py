"""The parts of one decoder layer of LLaMA's kind, arranged for few calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.linalg import vecdot
from torch.nn.functional import rms_norm

from model.engine.linears import AdaptedRows, Linears


class Norm:
    """A module's RMS norm (Zhang and Sennrich 2019) in few calls."""

    def __init__(self, module: Any) -> None:
        self._weight = module.weight
        self._epsilon = module.variance_epsilon
        # PyTorch's own function is one kernel on a GPU; on a CPU it is nine, and slow for many rows (decision 8).
        own = self._weight.device.type == "cpu" and self._weight.dtype == torch.float32
        self._normed = self._by_products if own else self._by_pytorch

    def __call__(self, hidden: Tensor) -> Tensor:
        """[R, Dt] -> [R, Dt]."""
        return self._normed(hidden)

    def _by_pytorch(self, hidden: Tensor) -> Tensor:
        return rms_norm(hidden, self._weight.shape, self._weight, self._epsilon)

    def _by_products(self, hidden: Tensor) -> Tensor:
        mean_square = vecdot(hidden, hidden).mul_(1 / hidden.shape[-1])
        return (hidden * mean_square.add_(self._epsilon).rsqrt_()[:, None]).mul_(self._weight)


class DecoderLayer:
    """One decoder layer's parts, under the names that adapters use. The last one's queries are a product apart."""

    def __init__(self, layer: Any, name: str, is_last: bool, *, take_weights: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.scaling = float(attention.scaling)
        self.norm_before, self._norm_after = (
            Norm(layer.input_layernorm),
            Norm(layer.post_attention_layernorm),
        )

        def linears(block: str, module: Any, *parts: str) -> Linears:
            named = {f"{name}.{block}.{part}": module.get_submodule(part) for part in parts}
            return Linears(named, take_weights=take_weights)

        if is_last:
            self.queries = linears("self_attn", attention, "q_proj")
            self.keys_values = linears("self_attn", attention, "k_proj", "v_proj")
        else:
            self.queries_keys_values = linears("self_attn", attention, "q_proj", "k_proj", "v_proj")
        self.output = linears("self_attn", attention, "o_proj")
        self._gate_up = linears("mlp", mlp, "gate_proj", "up_proj")
        self._down = linears("mlp", mlp, "down_proj")
        self._activation = mlp.act_fn

    def feed_forward(self, hidden: Tensor, adapted: Sequence[AdaptedRows]) -> Tensor:
        """[R, Dt] -> [R, Dt]."""
        gate, up = self._gate_up(self._norm_after(hidden), adapted).chunk(2, dim=-1)
        return self._down(self._activation(gate).mul_(up), adapted, plus=hidden)
