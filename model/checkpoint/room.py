"""Whether a model fits into memory, asked before it is read: a process that the system ends tells nobody why."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

from ..checkpoint_errors import NoRoom
from ..llava import Llava
from .quantisation import Quantize, gets_fewer_bits, num_bytes_quantised

_LIMIT_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def num_bytes(model: Llava, dtype: torch.dtype, quantize: Quantize) -> int:
    """What the weights of an empty model will take, in bytes, their scales in fewer bits included."""
    total = 0.0
    for path, module in model.named_modules():
        if path == "lm_head" and model.config.tie_word_embeddings:
            continue  # the same table as the words'
        for name, parameter in module.named_parameters(recurse=False):
            if quantize != "none" and name == "weight" and gets_fewer_bits(path, module):
                total += num_bytes_quantised(parameter, quantize)
            else:
                total += parameter.numel() * dtype.itemsize
    return int(total)


def free_bytes(device: torch.device) -> int:
    """What this process may still take of a device's memory; of the machine's for cpu and mps."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    for limit_file, used_file in _LIMIT_FILES:  # a container often has less than the machine
        try:
            limit, used = int(Path(limit_file).read_text()), int(Path(used_file).read_text())
        except (OSError, ValueError):  # no such container, or no limit ("max")
            continue
        free = min(free, max(0, limit - used))
    return free


def free_gpus() -> dict[int, int]:
    """What this process may still take of each GPU, in bytes."""
    return {index: free_bytes(torch.device("cuda", index)) for index in range(torch.cuda.device_count())}


def all_gpus() -> dict[int, int]:
    """Each GPU's whole memory, in bytes, as if nobody used it."""
    indices = range(torch.cuda.device_count())
    return {index: int(torch.cuda.get_device_properties(index).total_memory) for index in indices}


def free_bytes_after(device: torch.device, process_id: int) -> int:
    """What will be free of a device once that process has ended. A GPU does not tell whose its memory is: all of it."""
    if device.type == "cuda":
        return all_gpus()[device.index or 0]
    try:
        process = psutil.Process(process_id)
        # what is mapped from files is free already, as the system counts it
        held = process.memory_full_info().uss
    except psutil.Error:  # it has ended meanwhile
        held = 0
    return free_bytes(device) + int(held)


def check_memory(
    folder: Path,
    needed: int,
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    freed_by: int | None = None,
) -> None:
    """Raises NoRoom where the weights alone are more than what is free, or will be when `freed_by` has ended."""
    free = free_bytes(device) if freed_by is None else free_bytes_after(device, freed_by)
    if needed > free:
        kept = "it is stored" if dtype is None else str(dtype).removeprefix("torch.")
        raise NoRoom(
            f"{folder} takes {needed / 1e9:.1f} GB as {kept}, but {device} has {free / 1e9:.1f} GB free; choose "
            "--quantize 4bit, --dtype bfloat16 or a smaller model, or free memory."
        )
