"""Which device each tensor goes to: one device, or several GPUs shared out by accelerate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import CustomDtype, get_balanced_memory

from ..checkpoint_errors import DeviceError, NoRoom
from ..llava import Llava
from .quantisation import Quantize, gets_fewer_bits
from .room import free_gpus, num_bytes

DEVICE_MAPS = ("none", "auto")
_WHOLE_LAYERS = ["LlamaDecoderLayer", "CLIPEncoderLayer", "CLIPVisionEmbeddings", "Projector"]
"""Never split between two devices: their parts add up what the others computed."""
_FOR_WEIGHTS = 0.9
"""The share of a GPU's free memory that weights may take: pictures, keys and values come beside them."""
_WITHOUT_SCALES = 0.96
"""accelerate counts the bits of a quantised weight but not its scales, which take 3 % more in 4 bits."""


@dataclass(frozen=True, slots=True)
class Placement:
    """`devices` maps the beginnings of names to devices; "" is all of them."""

    devices: Mapping[str, torch.device]

    @property
    def main(self) -> torch.device:
        return next(iter(self.devices.values()))

    def device_of(self, name: str) -> torch.device:
        """Of the longest beginning of this name that is placed."""
        parts = name.split(".")
        for length in range(len(parts), -1, -1):
            device = self.devices.get(".".join(parts[:length]))
            if device is not None:
                return device
        raise KeyError(name)

    def finish(self, model: Llava) -> None:
        """Bring what was computed, not read, along; join several devices by accelerate's hooks."""
        for path, module in model.named_modules():
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = buffer.to(self.device_of(f"{path}.{name}"))
        if len(set(self.devices.values())) > 1:
            dispatch_model(model, {name: _plain(device) for name, device in self.devices.items()})


def choose_device_map(name: str) -> None:
    """Raises DeviceError for a name that is none."""
    if name not in DEVICE_MAPS:
        raise DeviceError(f"There is no device map {name!r}; choose one of: {', '.join(DEVICE_MAPS)}.")


def on_one(device: torch.device) -> Placement:
    return Placement({"": device})


def shared_out(
    model: Llava,
    dtype: torch.dtype,
    quantize: Quantize,
    max_memory: Mapping[int, int] | None = None,
) -> Placement:
    """Over all GPUs, evenly, as large as the weights will be in their format. `max_memory` is bytes a GPU, by default
    what is free.

    Raises NoRoom where they do not hold it: the engine answers from GPUs alone, and weights on a CPU or a disk would
    answer too slowly to be of use.
    """
    memory = dict(max_memory or free_gpus())
    for_weights = {index: int(size * _FOR_WEIGHTS) for index, size in memory.items()}
    needed = num_bytes(model, dtype, quantize)
    if len(memory) == 1:
        (index,) = memory
        found: Mapping[str, int | str] = {"": index if needed <= for_weights[index] else "disk"}
    else:
        found = _spread(model, dtype, quantize, for_weights)
    if not all(isinstance(device, int) for device in found.values()):
        raise NoRoom(
            f"The weights take {needed / 1e9:.1f} GB as {_format(dtype, quantize)}, but "
            f"{' and '.join(f'GPU {index} has {size / 1e9:.1f} GB' for index, size in memory.items())} free, a "
            "tenth of it for answering, and layers stay whole; choose --quantize 4bit, a smaller --dtype or a smaller "
            "model, or free their memory."
        )
    return Placement({name: torch.device("cuda", int(device)) for name, device in found.items()})


def _spread(
    model: Llava, dtype: torch.dtype, quantize: Quantize, memory: dict[int, int]
) -> Mapping[str, int | str]:
    """By accelerate: evenly where that goes, else the first GPUs full. "disk" for what fits nowhere."""
    sizes: dict[str, Any] = {}
    if quantize != "none":
        bits = torch.int8 if quantize == "8bit" else CustomDtype.INT4
        quantised = [path for path, module in model.named_modules() if gets_fewer_bits(path, module)]
        sizes = {f"{path}.weight": bits for path in quantised}
        memory = {index: int(size * _WITHOUT_SCALES) for index, size in memory.items()}
    options: dict[str, Any] = {
        "no_split_module_classes": _WHOLE_LAYERS, "dtype": dtype, "special_dtypes": sizes or None,
    }  # fmt: skip
    even = get_balanced_memory(model, max_memory=dict(memory), **options)
    found: Mapping[str, int | str] = infer_auto_device_map(model, max_memory=even, **options)
    if all(isinstance(device, int) for device in found.values()):
        return found
    return dict(infer_auto_device_map(model, max_memory=dict(memory), **options))


def _format(dtype: torch.dtype, quantize: Quantize) -> str:
    name = str(dtype).removeprefix("torch.")
    return name if quantize == "none" else f"{quantize}, the rest {name}"


def _plain(device: torch.device) -> str | int:
    """As accelerate writes it: a number for a GPU."""
    return device.index if device.type == "cuda" and device.index is not None else str(device)
