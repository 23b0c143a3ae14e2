"""Which device a model is put on, and in which number format it computes there."""

from __future__ import annotations

import torch

from .checkpoint_errors import DeviceError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> torch.device:
    """ "auto" is the first of cuda, mps and cpu that there is; "cuda:1" names one of several. Raises DeviceError."""
    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if name == "auto":
        name = next(kind for kind, count in counts.items() if count)
    kind, _, index = name.partition(":")
    if kind not in counts:
        raise DeviceError(f"There is no device {name!r}; choose auto, cuda, mps or cpu.")
    if not (index or "0").isdecimal() or int(index or 0) >= counts[kind]:
        raise DeviceError(
            f"This machine has {counts[kind]} usable {kind} devices, and {name!r} is none of them; "
            "start with --device cpu."
        )
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """A number format by its name. Raises DeviceError.

    "auto" is float32 on a CPU and on Apple's GPU; on other GPUs bfloat16 where they compute in it, else float16.
    """
    if name == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if _computes_in_bfloat16(device) else torch.float16
    if name not in DTYPES:
        raise DeviceError(f"There is no number format {name!r}; choose auto or one of: {', '.join(DTYPES)}.")
    return DTYPES[name]


def _computes_in_bfloat16(device: torch.device) -> bool:
    """Older GPUs only imitate it, slowly."""
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)
