"""Which device each tensor goes to: one device, or several GPUs shared out by accelerate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import get_balanced_memory
from torch import nn

from ..checkpoint_errors import DeviceError
from ..llava import Llava

DEVICE_MAPS = ("none", "auto")
_WHOLE_LAYERS = ["LlamaDecoderLayer", "CLIPEncoderLayer", "CLIPVisionEmbeddings", "Projector"]
"""Never split between two devices: their parts add up what the others computed."""


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


def on_one(device: torch.device) -> Placement:
    return Placement({"": device})


def shared_out(
    model: nn.Module, dtype: torch.dtype, max_memory: Mapping[int | str, int] | None = None
) -> Placement:
    """Over all GPUs, evenly; without any, the CPU. `max_memory` is bytes a device, by default what is free.

    Raises DeviceError where they do not hold it: weights on a disk would answer too slowly to be of use.
    """
    if max_memory is None and not torch.cuda.device_count():
        return on_one(torch.device("cpu"))
    memory = dict(max_memory) if max_memory is not None else None
    balanced = get_balanced_memory(
        model, max_memory=memory, no_split_module_classes=_WHOLE_LAYERS, dtype=dtype
    )
    found = infer_auto_device_map(
        model, max_memory=balanced, no_split_module_classes=_WHOLE_LAYERS, dtype=dtype
    )
    if "disk" in found.values():
        raise DeviceError(
            f"The memory of all devices together ({', '.join(map(str, balanced))}) is too small for this model as "
            f"{dtype}; choose --quantize 4bit, a smaller --dtype or a smaller model."
        )
    return Placement(
        {
            name: torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
            for name, device in found.items()
        }
    )


def _plain(device: torch.device) -> str | int:
    """As accelerate writes it: a number for a GPU."""
    return device.index if device.type == "cuda" and device.index is not None else str(device)
