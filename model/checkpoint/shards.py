"""Tensors -> safetensors files, as transformers names them: one file, or numbered shards and their index."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

MAX_SHARD_BYTES = 5_000_000_000
"""As large as transformers 4 wrote them: a lost connection costs one of these, not the whole."""


def write_shards(
    folder: Path, tensors: Iterable[tuple[str, Tensor]], *, max_shard_bytes: int = MAX_SHARD_BYTES
) -> int:
    """Write (name, tensor) pairs in their order; at most one shard is held in memory. Returns the tensors' bytes.

    A tensor larger than `max_shard_bytes` gets a shard of its own. Names must differ: ValueError.
    """
    names: list[list[str]] = []
    seen: set[str] = set()
    waiting: dict[str, Tensor] = {}
    num_waiting = total = 0

    def flush() -> None:
        nonlocal waiting, num_waiting
        # "format" is what older versions of transformers look for before they read a file.
        save_file(waiting, folder / f"part-{len(names)}.safetensors", metadata={"format": "pt"})
        names.append(list(waiting))
        waiting, num_waiting = {}, 0

    for name, tensor in tensors:
        if name in seen:
            raise ValueError(f"The tensor {name} comes twice; every name may be written once.")
        seen.add(name)
        size = num_bytes_of(tensor)
        if waiting and num_waiting + size > max_shard_bytes:
            flush()
        waiting[name] = tensor.detach().contiguous()
        num_waiting += size
        total += size
    flush()
    _name_shards(folder, names, total)
    return total


def num_bytes_of(tensor: Tensor) -> int:
    """What a tensor takes on disk."""
    return int(tensor.numel()) * int(tensor.element_size())


def _name_shards(folder: Path, names: list[list[str]], total: int) -> None:
    """The number of shards stands in their names, so they are named when it is known."""
    if len(names) == 1:
        _put(folder / "part-0.safetensors", folder / "model.safetensors")
        return
    weight_map: dict[str, str] = {}
    for number, held in enumerate(names):
        name = f"model-{number + 1:05}-of-{len(names):05}.safetensors"
        _put(folder / f"part-{number}.safetensors", folder / name)
        weight_map.update(dict.fromkeys(held, name))
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _put(path: Path, wanted: Path) -> None:
    """safetensors makes files that only their owner may read; a checkpoint is read by whoever may read its configs."""
    path.chmod(0o600 | (path.parent.stat().st_mode & 0o044))
    path.rename(wanted)
