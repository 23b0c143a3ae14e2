"""A delta: what has to be added to a base language model to get the model, as LLaVA v0 and v1.1 were published.

Every tensor that the base has too is written as the difference; of the vocabulary, rows that the base lacks are written
as they are, and so are projector and vision tower (haotian-liu/LLaVA, llava/model/make_delta.py and apply_delta.py).
Adding is rounded, so a model that went through a delta may differ in the last bits; docs/converting.md says by how
much. The rotary tables, which are computed, stand in it as zeros, as in those deltas: by them a reader knows a delta.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.checkpoint.key_names import EMBEDDING_KEY, HEAD_KEY, LLAMA, is_computed
from model.checkpoint.shards import write_shards
from model.checkpoint.weights import Weights

from .new_folder import ExportError
from .original import original_tensors, write_original_texts
from .source import Source

_GROWS = frozenset(key for key in map(LLAMA.on_disk, (EMBEDDING_KEY, HEAD_KEY)) if key is not None)


@dataclass(slots=True)
class Rounding:
    """What is lost when a delta is added to its base again, in the number format of the delta."""

    num_numbers: int = 0
    num_changed: int = 0
    worst: float = 0.0  # the largest difference

    def count(self, tensor: Tensor, summed: Tensor) -> None:
        off = (summed.to(torch.float64) - tensor.to(torch.float64)).abs()
        self.num_numbers += off.numel()
        self.num_changed += int((off > 0).sum())
        self.worst = max(self.worst, float(off.max()) if off.numel() else 0.0)

    def __str__(self) -> str:
        kept = self.num_numbers - self.num_changed
        return (
            f"{kept:,} of {self.num_numbers:,} numbers come back as they were when the base is added, the others "
            f"within {self.worst:.2g}."
        )


def write_delta(folder: Path, source: Source, base: Path) -> Rounding:
    """Fill `folder` with model minus the language model in the folder `base`, of which one shard is open at a time.

    Returns what will be lost to rounding, measured while writing. Raises ExportError where the two do not belong
    together, CheckpointError where `base` cannot be read.
    """
    weights, rounding = Weights.of_folder(base), Rounding()
    try:
        write_shards(
            folder, _differences(source, weights, base, rounding), max_shard_bytes=source.max_shard_bytes
        )
    finally:
        weights.close()
    write_original_texts(folder, source)
    return rounding


def _differences(
    source: Source, weights: Weights, base: Path, rounding: Rounding
) -> Iterator[tuple[str, Tensor]]:
    """(key, tensor): differences are taken in float32 (of float32 in float64) and rounded once."""
    unused = {key for key in weights.keys if not is_computed(key)}
    for key, tensor in original_tensors(source):
        if key not in unused:
            yield key, tensor
            continue
        unused.remove(key)
        base_tensor = weights.get(key)
        difference = _minus(key, tensor, base_tensor, base)
        rounding.count(tensor, _plus(difference, base_tensor))
        yield key, difference
    if unused:
        raise ExportError(
            f"{base} holds {len(unused)} tensors that {source.loaded.name} lacks, the first of them {min(unused)}; "
            "give the language model that it was trained from as --base."
        )
    yield from _zero_tables(source)


def _zero_tables(source: Source) -> Iterator[tuple[str, Tensor]]:
    """One table [head width / 2] a layer."""
    config = source.loaded.model.config.text_config
    for layer in range(config.num_hidden_layers):
        key = f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"
        yield key, torch.zeros(config.head_dim // 2, dtype=source.main_dtype)


def _minus(key: str, tensor: Tensor, base_tensor: Tensor, base: Path) -> Tensor:
    same_width = tensor.shape[1:] == base_tensor.shape[1:]
    grown = key in _GROWS and same_width and len(tensor) > len(base_tensor)
    if tensor.shape != base_tensor.shape and not grown:
        raise ExportError(
            f"{key} is {list(tensor.shape)} here and {list(base_tensor.shape)} in {base}; give the language model that "
            "this one was trained from as --base."
        )
    wide = torch.float64 if tensor.dtype == torch.float32 else torch.float32
    difference = tensor.to(wide, copy=True)
    difference[: len(base_tensor)] -= base_tensor.to(wide)
    return difference.to(tensor.dtype)


def _plus(difference: Tensor, base_tensor: Tensor) -> Tensor:
    """As reading adds them (model/checkpoint/plan.py): in float32, rounded once."""
    summed = difference.to(torch.float32, copy=True)
    summed[: len(base_tensor)] += base_tensor.to(torch.float32)
    return summed.to(difference.dtype)
