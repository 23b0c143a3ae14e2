"""An adapter: low-rank changes of the language model's layers, and perhaps a projector of its own.

A folder as PEFT writes it (adapter_config.json, adapter_model.safetensors), and beside it optionally the projector that
was trained along: `projector.safetensors` with the keys of model/projector.py, or LLaVA's own `non_lora_trainables`.
What a file means is read by model/checkpoint, which merges the same adapters into weights; here they stay beside them.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from model.checkpoint.base_numbers import check_numbers
from model.checkpoint.key_names import HEAD_KEY, LANGUAGE, PROJECTOR
from model.checkpoint.lora import LoraUpdate, apply_adapter
from model.checkpoint.plan import Place, Plan
from model.checkpoint.weights import Weights
from model.checkpoint_errors import CheckpointError, CheckpointFormatError
from model.engine.errors import AdapterError
from model.engine.linears import Delta

if TYPE_CHECKING:
    from model.llava import Llava

_OF_THE_MODEL = Place(Weights({}), "")
_keys = itertools.count(1)


@dataclass(eq=False)
class Adapter:
    """What one adapter changes. `key` is never used again, so nothing computed with it is taken for another's."""

    name: str
    deltas: Mapping[str, Delta]  # by the layer's name, as in model/engine/network.py
    projector: nn.Module | None
    key: int = field(default_factory=lambda: next(_keys))


def read_adapter(name: str, folder: Path, model: Llava) -> Adapter:
    """Reads an adapter folder for this model. Raises AdapterError, which names the file and the remedy."""
    try:
        plan = Plan(places=dict.fromkeys(model.state_dict(), _OF_THE_MODEL))
        check_numbers(folder, model.state_dict().get)
        apply_adapter(plan, folder, [])
        deltas, of_projector = _sorted(plan, folder, model)
        projector = _projector(plan, of_projector, folder, model)
    except CheckpointError as error:
        raise AdapterError(f"The adapter {name} cannot be loaded: {error}") from error
    return Adapter(name, deltas, projector)


def _sorted(plan: Plan, folder: Path, model: Llava) -> tuple[dict[str, Delta], dict[str, LoraUpdate]]:
    """The updates of the language model's layers, ready to be used, and those of the projector."""
    deltas: dict[str, Delta] = {}
    of_projector: dict[str, LoraUpdate] = {}
    dtype = model.model.language_model.embed_tokens.weight.dtype
    for name, update in plan.updates.items():
        layer = model.get_submodule(name.removesuffix(".weight"))
        if name.startswith(PROJECTOR):
            of_projector[name] = update
        elif isinstance(layer, nn.Linear) and (name == HEAD_KEY or name.startswith(LANGUAGE)):
            _check_shape(update, layer, name)
            device = layer.weight.device
            down = update.down.to(device, dtype).T.contiguous()
            up = (update.up.float() * update.scale).to(device, dtype).T.contiguous()
            deltas[name.removeprefix(LANGUAGE).removesuffix(".weight")] = Delta(down, up)
        else:
            raise CheckpointFormatError(
                f"{update.file} changes {name}, and only linear layers of the language model and the projector can be "
                "changed while a model is served; merge the adapter into a checkpoint of its own."
            )
    for name, place in plan.places.items():
        if place is not _OF_THE_MODEL and not name.startswith(PROJECTOR):
            raise CheckpointFormatError(
                f"{place.file} in {folder} replaces {name}, and only the projector can be replaced while a model is "
                "served; merge the adapter into a checkpoint of its own."
            )
    return deltas, of_projector


def _check_shape(update: LoraUpdate, layer: nn.Linear, name: str) -> None:
    made_for = (update.up.shape[0], update.down.shape[1])
    if made_for != (layer.out_features, layer.in_features) or update.up.shape[1] != update.down.shape[0]:
        raise CheckpointFormatError(
            f"{update.file} was made for another base: its update of {name} is {made_for[0]} x {made_for[1]}, this "
            f"model's layer {layer.out_features} x {layer.in_features}; load it with the base that it was trained on."
        )


def _projector(plan: Plan, updates: Mapping[str, LoraUpdate], folder: Path, model: Llava) -> nn.Module | None:
    """The adapter's own projector: the model's with what the adapter replaces and adds; None where it does neither."""
    names = [name for name in plan.places if name.startswith(PROJECTOR)]
    if not updates and all(plan.places[name] is _OF_THE_MODEL for name in names):
        return None
    own = copy.deepcopy(model.model.multi_modal_projector)
    state: dict[str, Tensor] = own.state_dict()
    for name in names:
        short = name.removeprefix(PROJECTOR)
        place = plan.places[name]
        tensor = state[short] if place is _OF_THE_MODEL else place.read()
        if tensor.shape != state[short].shape:
            raise CheckpointFormatError(
                f"{place.file} was made for another base: its {place.key} is {list(tensor.shape)}, this model's "
                f"{list(state[short].shape)}; load it with the base that it was trained on."
            )
        if name in updates:
            tensor = updates[name].applied_to(tensor.cpu(), name)
        state[short] = tensor.clone()
        place.weights.close()
    own.load_state_dict(state)
    return own.requires_grad_(False).to(torch.device(model.device))
