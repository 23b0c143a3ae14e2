"""In which number format a checkpoint lies on disk, so that writing it in another layout rounds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from model.checkpoint.tensor_file import TensorFile
from model.checkpoint.weights import Weights

_OF_SAFETENSORS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def stored_dtype(folder: Path) -> torch.dtype:
    """The one format of all weights in `folder`; float32, which holds each of the others, where there are several.

    Only what files say of themselves is read. Raises CheckpointError.
    """
    found: set[torch.dtype] = set()
    for path in Weights.of_folder(folder).files:
        found |= _of_safetensors(path) if path.suffix == ".safetensors" else _of_pickle(path)
    found &= {torch.float32, torch.float16, torch.bfloat16}
    return found.pop() if len(found) == 1 else torch.float32


def _of_safetensors(path: Path) -> set[torch.dtype]:
    """From the header: eight bytes that hold its length, then JSON."""
    TensorFile(path).close()  # says in words what is wrong with a damaged file
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    kinds = {entry["dtype"] for key, entry in header.items() if key != "__metadata__"}
    return {_OF_SAFETENSORS[kind] for kind in kinds if kind in _OF_SAFETENSORS}


def _of_pickle(path: Path) -> set[torch.dtype]:
    file = TensorFile(path)
    try:
        return {file.get(key).dtype for key in file.keys()}  # noqa: SIM118 - no mapping; mapped, so nothing is read
    finally:
        file.close()
