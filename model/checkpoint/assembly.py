"""The network from a config and a plan: built empty, then filled tensor by tensor as the files are read.

Nothing is ever there twice: a tensor is copied from the mapped file straight to its number format and device (or bits),
and the file's pages go when the next file is opened. What is missing, too many or of another shape is named with its
file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from transformers.models.llava.configuration_llava import LlavaConfig

from ..checkpoint_errors import CheckpointFormatError, DeviceError
from ..llava import Llava
from .base_numbers import SAMPLED, Numbers, numbers_of
from .config import FOREIGN_FAULTS
from .key_names import EMBEDDING_KEY, HEAD_KEY
from .placement import Placement
from .plan import Plan
from .quantisation import Quantize, is_quantised, make_room, quantised

_log = logging.getLogger(__name__)
OnProgress = Callable[[float], None]


def empty_model(config_path: Path, config: LlavaConfig) -> Llava:
    """The network without its weights; what is computed (rotary tables, positions) is there. CheckpointFormatError."""
    try:
        with init_empty_weights(include_buffers=False):
            return Llava(config)
    except FOREIGN_FAULTS as error:
        raise CheckpointFormatError(
            f"{config_path} describes no network that can be built: {error}"
        ) from error


def fill(
    model: Llava,
    plan: Plan,
    *,
    folder: Path,
    dtype: torch.dtype | None,
    quantize: Quantize,
    placement: Placement,
    report: OnProgress,
) -> dict[str, Numbers]:
    """Read every tensor of the plan into the empty model, and check that none is left. Raises CheckpointError.

    `dtype` None keeps each tensor in the format that it has on disk. Returns by which numbers an adapter that is made
    on this model will know it again.
    """
    if dtype is not None:
        make_room(model, quantize, dtype)
    wanted = _parameters(model)
    tied = bool(model.config.tie_word_embeddings)
    _check_names(wanted, plan, folder, tied)
    numbers: dict[str, Numbers] = {}
    for done, (name, tensor, stored) in enumerate(plan.read(), start=1):
        module, parameter = wanted[name]
        _check_shape(name, tensor, _shape_of(module, parameter), plan)
        if name in SAMPLED:
            numbers[name] = numbers_of(tensor)
        device, kept = placement.device_of(name), dtype or stored
        try:
            new = _placed(module, parameter, tensor, kept, device)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"{folder} does not fit into the memory of {device} as {kept}; choose --quantize 4bit, "
                "--dtype bfloat16, a smaller model or --device cpu."
            ) from error
        module._parameters[parameter] = new
        report(done / len(plan.places))
    _tie(model, folder, tied, HEAD_KEY in plan.places)
    placement.finish(model)
    model.eval()
    return numbers


def check(model: Llava, plan: Plan, folder: Path) -> None:
    """Whether `fill` will find every tensor in its shape: files are opened, not read. CheckpointError."""
    wanted = _parameters(model)
    _check_names(wanted, plan, folder, bool(model.config.tie_word_embeddings))
    for name, tensor in plan.looked_through():
        _check_shape(name, tensor, _shape_of(*wanted[name]), plan)


def _parameters(model: Llava) -> dict[str, tuple[nn.Module, str]]:
    """Name in memory -> the module that holds it and its name in there. Tied ones too."""
    return {
        f"{path}.{name}" if path else name: (module, name)
        for path, module in model.named_modules()
        for name, parameter in module._parameters.items()
        if parameter is not None
    }


def _check_names(wanted: Mapping[str, object], plan: Plan, folder: Path, tied: bool) -> None:
    missing = set(wanted) - set(plan.places) - ({HEAD_KEY} if tied else set())
    too_many = set(plan.places) - set(wanted)
    for names, fault in ((missing, "lack"), (too_many, "hold, too many,")):
        if names:
            raise CheckpointFormatError(
                f"The weights in {folder} {fault} {len(names)} tensors by its config.json, the first of them "
                f"{min(names)}; copy the weights again or correct the config (projector_type above all)."
            )


def _shape_of(module: nn.Module, parameter: str) -> tuple[int, ...]:
    return tuple(module._parameters[parameter].shape)  # type: ignore[union-attr]


def _check_shape(name: str, tensor: Tensor, expected: tuple[int, ...], plan: Plan) -> None:
    if tuple(tensor.shape) != expected:
        place = plan.places[name]
        raise CheckpointFormatError(
            f"{place.file} does not fit its config.json: {place.key} is {_sides(tensor.shape)}, expected "
            f"{_sides(expected)}; copy the config or the weights that belong together."
        )


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _placed(
    module: nn.Module, parameter: str, tensor: Tensor, dtype: torch.dtype, device: torch.device
) -> nn.Parameter:
    if is_quantised(module, parameter):
        return quantised(module, tensor.to(dtype, copy=True), device)
    return nn.Parameter(tensor.to(device=device, dtype=dtype, copy=True), requires_grad=True)


def _tie(model: Llava, folder: Path, tied: bool, has_head: bool) -> None:
    """One table for words in and out where the config says so, unless the file holds two that differ."""
    if not tied:
        return
    table = model.get_input_embeddings().weight
    head = model.lm_head.weight
    if has_head and (table.dtype != head.dtype or not torch.equal(table, head)):
        _log.warning(
            "%s says tie_word_embeddings, but %s and %s differ; both are kept",
            folder,
            EMBEDDING_KEY,
            HEAD_KEY,
        )
        model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
        return
    model.lm_head.weight = table
