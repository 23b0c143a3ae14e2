"""What this machine offers a run, looked up and measured: free memory, free disk, and how fast it multiplies."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import psutil
import torch

from model.checkpoint.room import free_bytes
from model.device import choose_device, choose_dtype
from model.training.config import TrainingConfig
from model.training.machine import Machine
from model.training.model_shape import ModelShape

SECONDS = 0.7
"""Of multiplying, by the clock: where other programs are at work too, the run will have to share with them as well."""

CUDA_CONTEXT = 600_000_000
"""Bytes that CUDA takes for itself, with cuBLAS' workspace."""

TRAINING_LIBRARIES = 250_000_000
"""Bytes of what a run has beside its tensors and the check has not: the Trainer, PEFT, bitsandbytes, buffers of torch's
products. Measured (docs/training.md)."""


def measure(config: TrainingConfig, shape: ModelShape, folder: Path, num_tokens: int) -> Machine:
    """`num_tokens` of a micro batch: a product of so many rows is timed. Raises DeviceError."""
    device = choose_device(config.device)
    dtype = choose_dtype(config.precision, device)
    existing = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    own = psutil.Process().memory_info().rss if device.type != "cuda" else CUDA_CONTEXT
    return Machine(
        device=device.type,
        free_memory=free_bytes(device) + own,  # this process will be gone
        base_memory=CUDA_CONTEXT if device.type == "cuda" else own + TRAINING_LIBRARIES,
        free_disk=shutil.disk_usage(existing).free,
        flops_per_second=flops_per_second(device, dtype, num_tokens, shape.width, shape.mlp_width),
        bytes_per_number=dtype.itemsize,
        start_seconds=time.time() - psutil.Process().create_time(),
    )


def flops_per_second(device: torch.device, dtype: torch.dtype, rows: int, inner: int, columns: int) -> float:
    """Of [rows, inner] x [inner, columns], which takes 2 x rows x inner x columns operations."""
    left = torch.randn(max(1, rows), inner, device=device).to(dtype)
    right = torch.randn(inner, columns, device=device).to(dtype)
    num_products = max(1, round(2e8 / (2 * left.shape[0] * inner * columns)))
    torch.mm(left, right)  # the first prepares what the others use
    _wait(device)
    done, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        for _ in range(num_products):
            torch.mm(left, right)
        _wait(device)
        done += num_products
    return done * 2 * left.shape[0] * inner * columns / (time.perf_counter() - begin)


def _wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
