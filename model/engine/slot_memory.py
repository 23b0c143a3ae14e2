"""The keys and values of one slot, as tensors that grow as they are needed.

A layer's are one tensor [2, 1, K, L, Dh]: keys and values, a batch of one as PyTorch's attention wants it, K key-value
heads, room for L tokens, Dh numbers a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_STEP = 64
_GROWTH = 1.25


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What one token takes in the cache."""

    num_kv_heads: int
    head_dim: int
    dtype: torch.dtype
    devices: tuple[torch.device, ...]  # of each layer: a large model may be shared out over several GPUs

    @property
    def token_bytes(self) -> int:
        return len(self.devices) * 2 * self.num_kv_heads * self.head_dim * self.dtype.itemsize


class SlotMemory:
    """Room for `capacity` tokens in every layer; `layers` is empty while it is 0."""

    def __init__(self, shape: CacheShape) -> None:
        self._shape = shape
        self.layers: list[Tensor] = []
        self.capacity = 0

    def reserve(self, num_tokens: int, *, length: int, at_most: int) -> None:
        """Make room for `num_tokens`, keeping the first `length`; a little more than asked for, up to `at_most`.

        Raises what PyTorch raises when memory runs out; then the slot has to be released.
        """
        if num_tokens <= self.capacity:
            return
        ahead = max(num_tokens + _STEP, int(self.capacity * _GROWTH))
        capacity = max(num_tokens, min(at_most, -(-ahead // _STEP) * _STEP))
        if length == 0:
            self.layers = []  # nothing to keep: never hold both
        for index, device in enumerate(self._shape.devices):
            grown = torch.empty(
                (2, 1, self._shape.num_kv_heads, capacity, self._shape.head_dim),
                dtype=self._shape.dtype,
                device=device,
            )
            if length:
                grown[..., :length, :].copy_(self.layers[index][..., :length, :])
                self.layers[index] = grown
            else:
                self.layers.append(grown)
        self.capacity = capacity

    def copy_from(self, source: SlotMemory, length: int) -> None:
        """The first `length` tokens of another slot; room for them has to be there."""
        for mine, other in zip(self.layers, source.layers, strict=True):
            mine[..., :length, :].copy_(other[..., :length, :])

    def release(self) -> None:
        """Give everything back."""
        self.layers = []
        self.capacity = 0
