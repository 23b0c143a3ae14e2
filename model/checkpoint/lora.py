"""A low-rank adapter, read and added to the weights as they stream by.

W + scale * B A, in float32 and before the weights are rounded or quantised, so that a merged 4-bit model loses nothing
to its adapter. Formula and file format: Hu et al. 2021, "LoRA", section 4.1, and peft (tuners/lora/layer.py,
get_delta_weight); `use_rslora` divides alpha by the square root of the rank (Kalajdzievski 2023).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoint_errors import CheckpointFormatError, CheckpointNotFound, UnsupportedCheckpoint
from .json_file import read_object
from .key_names import LAYOUTS, PROJECTOR, without_adapter_prefix
from .plan import Plan
from .weights import Weights

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
PROJECTOR_FILE = "projector.safetensors"
"""The projector that was trained along, with the keys of model/projector.py."""

NON_LORA = ("non_lora_trainables.safetensors", "non_lora_trainables.bin")
"""The same of LLaVA's own making, with the keys of that code."""

_LORA_KEY = re.compile(r"(?P<module>.+)\.lora_(?P<half>[AB])(\.default)?\.weight")
_NOT_MERGED = (
    "use_dora", "use_qalora", "alora_invocation_tokens", "target_parameters", "fan_in_fan_out", "layer_replication",
    "lora_bias",
)  # fmt: skip
_CHANGES_ITS_BASE = ("pissa", "olora", "corda", "loftq")
"""Beginnings of init_lora_weights that take their first update out of the base's own weights."""


@dataclass(frozen=True, slots=True)
class LoraUpdate:
    """down [r, in], up [out, r]: what is added to a weight [out, in]."""

    down: Tensor
    up: Tensor
    scale: float
    file: Path

    def applied_to(self, weight: Tensor, name: str) -> Tensor:
        """float32 [out, in]. Raises CheckpointFormatError where the shapes do not fit."""
        self.check(weight, name)
        return weight.to(torch.float32) + self.scale * (self.up.float() @ self.down.float())

    def check(self, weight: Tensor, name: str) -> None:
        """Raises CheckpointFormatError where the shapes do not fit."""
        if weight.shape != (self.up.shape[0], self.down.shape[1]) or self.up.shape[1] != self.down.shape[0]:
            raise CheckpointFormatError(
                f"{self.file} was made for another base: its update of {name} is {self.up.shape[0]} x "
                f"{self.down.shape[1]}, the base's weight is {' x '.join(map(str, weight.shape))}; give the base that "
                "it was trained on with --model-base."
            )


def is_adapter(folder: Path) -> bool:
    return (folder / ADAPTER_CONFIG).is_file()


def base_of_adapter(folder: Path) -> str:
    """What an adapter says it was made on; "" where it says nothing."""
    return str(read_object(folder / ADAPTER_CONFIG).get("base_model_name_or_path") or "")


def apply_adapter(plan: Plan, folder: Path, told: list[str]) -> None:
    """Plan that an adapter of peft's or LLaVA's making is merged as the weights are read, with the projector that was
    trained along. Raises CheckpointError."""
    apply_updates(plan, folder, told)
    for file in projector_files(folder):
        take_projector(plan, file)
        told.append(f"{file} holds the projector that was trained along.")


def projector_files(folder: Path) -> tuple[Path, ...]:
    """Files of a projector beside an adapter; ours goes before LLaVA's own, which is read first."""
    theirs = next((folder / name for name in NON_LORA if (folder / name).is_file()), None)
    ours = folder / PROJECTOR_FILE
    return tuple(file for file in (theirs, ours) if file is not None and file.is_file())


def apply_updates(plan: Plan, folder: Path, told: list[str]) -> None:
    """Plan that the low-rank updates are added, and what the adapter's own file replaces is replaced."""
    config = _config(folder)
    file = next((folder / name for name in ADAPTER_WEIGHTS if (folder / name).is_file()), None)
    if file is None:
        raise CheckpointNotFound(
            f"{folder} has no {' or '.join(ADAPTER_WEIGHTS)}; copy the adapter's weights into it."
        )
    weights = Weights.of_files([file])
    halves: dict[str, dict[str, str]] = {}
    whole: dict[str, str] = {}
    for key in weights.keys:
        inside = key.removeprefix("base_model.model.")
        found = _LORA_KEY.fullmatch(inside)
        if found:
            halves.setdefault(found["module"], {})[found["half"]] = key
        else:
            whole[key] = _name_inside(inside, plan, file)
    for module, keys in halves.items():
        name = _name_inside(f"{module}.weight", plan, file)
        if set(keys) != {"A", "B"}:
            raise CheckpointFormatError(f"{file} holds only one half of its update of {name}; copy it again.")
        down, up = weights.get(keys["A"]).clone(), weights.get(keys["B"]).clone()
        plan.updates[name] = LoraUpdate(down, up, _scale(config, module, len(down)), file)
    plan.take(weights, whole.get)
    made_on = config.get("base_model_name_or_path")
    origin = f", made on {made_on}" if made_on else ""
    told.append(f"{file} holds {len(halves)} low-rank updates{origin}: merged as they are read.")


def take_projector(plan: Plan, file: Path) -> None:
    """Plan that the projector is read from here. Raises CheckpointFormatError for what is no part of one."""
    weights = Weights.of_files([file])
    inner = without_adapter_prefix(weights.keys)
    names = {key: _projector_name(short, plan) for key, short in inner.items()}
    unknown = plan.take(weights, names.get)
    if unknown:
        raise CheckpointFormatError(
            f"{file} holds {min(unknown)}, which is no part of this model's projector; give the base that it was "
            "trained on. A LoRA folder that trained more than the projector is a --model, and its base a --model-base."
        )


def _projector_name(key: str, plan: Plan) -> str | None:
    spellings = (PROJECTOR + key, *(layout.in_memory(key) for layout in LAYOUTS))
    return next((name for name in spellings if name in plan.places and name.startswith(PROJECTOR)), None)


def _name_inside(key: str, plan: Plan, file: Path) -> str:
    """The name in memory of what an adapter changes, by whichever layout the base had when it was made."""
    names = (layout.in_memory(key) for layout in LAYOUTS)
    name = next((name for name in names if name in plan.places), None)
    if name is None:
        raise CheckpointFormatError(
            f"{file} was made for another base: it changes {key}, which the base does not have; give the base that it "
            "was trained on with --model-base."
        )
    return name


def _config(folder: Path) -> dict[str, Any]:
    path = folder / ADAPTER_CONFIG
    config = read_object(path)
    if config.get("peft_type") != "LORA":
        raise UnsupportedCheckpoint(
            f"{path} says peft_type {config.get('peft_type')!r}; only 'LORA' adapters are read."
        )
    for key in _NOT_MERGED:
        if config.get(key):
            raise UnsupportedCheckpoint(
                f"{path} says {key} {config[key]!r}, which is not read; choose a plain LoRA."
            )
    init = config.get("init_lora_weights")
    if isinstance(init, str) and init.lower().startswith(_CHANGES_ITS_BASE):
        raise UnsupportedCheckpoint(
            f"{path} says init_lora_weights {init!r}, so it fits a changed base; save it as a plain LoRA with peft's "
            "path_initial_model_for_weight_conversion."
        )
    if config.get("bias", "none") != "none":
        raise UnsupportedCheckpoint(
            f"{path} says bias {config['bias']!r}; only adapters that leave biases alone are read."
        )
    if not isinstance(config.get("alpha_pattern") or {}, dict):
        raise CheckpointFormatError(
            f"{path} says alpha_pattern {config['alpha_pattern']!r}; it must be an object of names and numbers. Copy "
            "the adapter again."
        )
    return config


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """alpha / r, of this module: peft's alpha_pattern goes before lora_alpha."""
    alpha: Any = config.get("lora_alpha", 8)
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        try:
            fits = re.fullmatch(rf"(.*\.)?{pattern}", module)
        except re.error as error:
            raise CheckpointFormatError(
                f"alpha_pattern holds {pattern!r}, which is no regular expression ({error}); copy the adapter again."
            ) from error
        if fits:
            alpha = value
            break
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool) or not math.isfinite(alpha):
        raise CheckpointFormatError(
            f"lora_alpha of {module} is {alpha!r}; it must be a number. Copy the adapter again."
        )
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)
