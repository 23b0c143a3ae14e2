"""What a checkpoint is: decided by its config's content and its weights' own keys, and told with the reason.

Every format ends up as the same thing, `Recognised`: a config in the transformers layout with our own keys, a plan of
which tensor is read from where, and a tokenizer. Names of folders are never looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..checkpoint_errors import (
    CheckpointFormatError,
    IncompleteCheckpoint,
    UnsupportedCheckpoint,
)
from .base_numbers import check_base
from .chat_template import template_of_chat
from .config import is_transformers, read_config
from .json_file import read_object
from .key_names import PROJECTOR, layout_of
from .lora import apply_adapter, base_of_adapter, is_adapter
from .plan import Plan
from .preparation import pixels_of
from .recognised import Recognised
from .reference import needs_base, recognise_reference, refuse_base
from .reference_config import is_reference
from .tower import Fetch
from .vocabulary import load_tokenizer
from .weights import Weights, has_weights

_A_TOWER = "is a picture tower alone; give it with --vision-tower beside a checkpoint of LLaVA's own code"
_OTHER_PROGRAMS = {
    "llama": "is a language model that sees no pictures; give it with --model-base beside a projector or an adapter",
    "clip": _A_TOWER,
    "clip_vision_model": _A_TOWER,
}


def recognise(folder: Path, *, base: str | None, tower: str | None, fetch: Fetch) -> Recognised:
    """Look at a checkpoint folder. `base` completes a partial one, `tower` goes before the one that it names.

    Raises CheckpointError.
    """
    path = folder / "config.json"
    if is_adapter(folder) and not is_reference(read_object(path, may_lack=True)) and not has_weights(folder):
        return _adapter_alone(folder, base, tower, fetch)
    values = read_config(folder)
    if is_transformers(path, values):
        refuse_base(folder, base)
        return _transformers(folder, values)
    if is_reference(values):
        return recognise_reference(folder, values, base, tower, fetch)
    kind = values.get("model_type")
    told = _OTHER_PROGRAMS.get(str(kind))
    if told is not None:
        raise UnsupportedCheckpoint(f"{path} says model_type {kind!r}: it {told}.")
    raise UnsupportedCheckpoint(
        f"{path} says model_type {kind!r}; expected 'llava' with vision_config and text_config (the layout of "
        "transformers), or 'llava' or 'llava_llama' with mm_vision_tower (LLaVA's own). Choose another checkpoint."
    )


def _adapter_alone(folder: Path, base: str | None, tower: str | None, fetch: Fetch) -> Recognised:
    """An adapter made here: config, tokenizer and all else are its base's."""
    if base is None:
        raise IncompleteCheckpoint(needs_base(folder, "an adapter", base_of_adapter(folder)))
    found = recognise(fetch(base), base=None, tower=tower, fetch=fetch)
    check_base(folder, base, found.plan.before_updates)
    apply_adapter(found.plan, folder, found.told)
    return found


def _transformers(folder: Path, values: dict[str, Any]) -> Recognised:
    weights = Weights.of_folder(folder)
    layout = layout_of(weights.keys)
    if layout is None:
        raise CheckpointFormatError(
            f"{weights.files[0]} has tensors that no LLaVA has, such as {min(weights.keys)}; expected those of the "
            "transformers layout, as config.json says. Copy the weights that belong to it."
        )
    own = "template" in values
    told = [
        f"{folder / 'config.json'} has vision_config and text_config: the layout of transformers"
        + (", with this project's keys." if own else "."),
        f"The weights' keys are those of {layout.name}.",
    ]
    plan = Plan()
    plan.take(weights, layout.in_memory)
    _read_projector(folder, values, plan, told)
    if not own:
        size = values["vision_config"].get("image_size", 336)
        if "pixels" not in values and isinstance(size, int):
            values["pixels"] = pixels_of(folder, size).as_mapping()
            told.append(
                f"Pictures are made square by {values['pixels']['fit']}, as its preprocessor's config says."
            )
        name, why = template_of_chat(folder)
        if name is not None:
            values["template"] = name
            told.append(f"Template {name}, by {why}; --template names another.")
    return Recognised(folder, told, values, plan, load_tokenizer(folder))


def _read_projector(folder: Path, values: dict[str, Any], plan: Plan, told: list[str]) -> None:
    """Which projector the transformers layout holds: its class always has two layers, so that a linear projector is
    written with an identity behind it and no activation between, and comes back as the one layer that it was."""
    path = folder / "config.json"
    activation = values.get("projector_hidden_act", "gelu")
    if activation not in ("gelu", "linear"):
        raise UnsupportedCheckpoint(
            f"{path} says projector_hidden_act {activation!r}; only 'gelu' and 'linear' are read. Choose "
            "another checkpoint."
        )
    second = plan.places.get(PROJECTOR + "linear_2.weight")
    if activation == "gelu" or second is None:
        return
    weight, bias = second.read(), plan.places.get(PROJECTOR + "linear_2.bias")
    identity = torch.eye(len(weight), dtype=weight.dtype)
    if not torch.equal(weight, identity) or (bias is not None and bias.read().any()):
        raise UnsupportedCheckpoint(
            f"{path} says projector_hidden_act 'linear', but {second.key} in {second.file} is not the identity; only a "
            "projector of one layer, or of two with 'gelu' between, is read."
        )
    del plan.places[PROJECTOR + "linear_2.weight"]
    plan.places.pop(PROJECTOR + "linear_2.bias", None)
    values |= {"projector_type": "linear", "projector_hidden_act": "gelu"}
    told.append("Its projector's second layer is the identity, without an activation: a linear projector.")
