"""Checkpoints of LLaVA's own code: full, delta, LoRA folder, projector alone.

Which of them it is, the files and the weights' own keys say: weights of a whole model (a delta's are told by tables and
norms that are zero), an adapter's files, or a projector's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checkpoint_errors import (
    CheckpointFormatError,
    CheckpointNotFound,
    IncompleteCheckpoint,
    UnsupportedCheckpoint,
)
from .base_numbers import check_base
from .config import LANGUAGE_MODEL
from .json_file import read_object
from .key_names import EMBEDDING_KEY, LANGUAGE, PROJECTOR, TOWER, layout_of, without_adapter_prefix
from .lora import NON_LORA, PROJECTOR_FILE, apply_updates, base_of_adapter, is_adapter, take_projector
from .plan import Place, Plan
from .recognised import Recognised
from .reference_config import MODEL_TYPES, fit_of, projector_type, template_of, transformers_values
from .tower import Fetch, find_tower, tower_name
from .vocabulary import add_token, has_tokenizer, load_tokenizer
from .weights import PROJECTOR_FILES, Weights, has_weights

PATCH, START_AND_END = "<im_patch>", ("<im_start>", "<im_end>")
NEARLY_ZERO = 0.1
"""The mean of a language model's last norm is around 1 and above; of the difference of two, far below this."""


def recognise_reference(
    folder: Path, values: dict[str, Any], base: str | None, tower: str | None, fetch: Fetch
) -> Recognised:
    """`values` is its config.json. Raises CheckpointError."""
    path = folder / "config.json"
    told = [
        f"{path} says model_type {values['model_type']!r} with mm_vision_tower: the layout of LLaVA's own code."
    ]
    plan = Plan()
    base_folder = fetch(base) if base is not None else None
    if has_weights(folder):
        _take_full(folder, base_folder, plan, told)
    elif is_adapter(folder):
        _take_base(folder, "an adapter", base_folder, base_of_adapter(folder), plan, told)
        _take_non_lora(folder, plan, told)
    elif (file := _first(folder, PROJECTOR_FILES)) is not None:
        _take_base(
            folder,
            "a projector alone",
            base_folder,
            str(read_object(path).get("_name_or_path") or ""),
            plan,
            told,
        )
        _take_file(file, plan, told)
    else:
        raise CheckpointNotFound(
            f"{folder} has a config.json but no weights, no adapter and no projector; copy its weight files into it."
        )
    own = _own_values(path, values, plan, told, tower, fetch)
    with_tokenizer = folder if has_tokenizer(folder) or base_folder is None else base_folder
    found = Recognised(folder, told, own, plan, load_tokenizer(with_tokenizer))
    if is_adapter(folder) and not has_weights(folder):
        check_base(folder, str(base), plan.before_updates)
        apply_updates(plan, folder, told)
    _settle_vocabulary(found, values)
    return found


def needs_base(folder: Path, what: str, made_on: str) -> str:
    hint = f", it was made on {made_on}" if made_on else ""
    return f"{folder} is {what}{hint}; give that model with --model-base."


def refuse_base(folder: Path, base: object) -> None:
    if base is not None:
        raise UnsupportedCheckpoint(
            f"{folder} is a complete checkpoint and needs no base; leave out --model-base."
        )


def _take_full(folder: Path, base: Path | None, plan: Plan, told: list[str]) -> None:
    weights = Weights.of_folder(folder)
    _take(weights, plan)
    projector = _first(folder, PROJECTOR_FILES)
    if projector is not None and not any("projector" in name for name in plan.places):
        _take_file(projector, plan, told)
    zeros = _signs_of_a_delta(plan, weights)
    if zeros is None:
        refuse_base(folder, base)
        told.append(f"{_files(weights)} hold a whole language model.")
        return
    if base is None:
        raise IncompleteCheckpoint(
            f"{folder} is a delta ({zeros}): the difference to a LLaMA; give that LLaMA with --model-base."
        )
    _refuse_other_language_models(base)
    base_weights = Weights.of_folder(base)
    layout = _layout(base_weights)
    lacking = {name for name in plan.places if name.startswith(LANGUAGE)} - {
        layout.in_memory(key) for key in base_weights.keys
    }
    if lacking:
        raise CheckpointFormatError(
            f"{base} lacks {len(lacking)} tensors of the language model that {folder} is the difference to, such as "
            f"{min(lacking)}; give the LLaMA that the delta was made from with --model-base."
        )
    plan.add_to(base_weights, layout.in_memory)
    told.append(f"{_files(weights)} hold a delta ({zeros}), added to {base} as it is read.")


def _signs_of_a_delta(plan: Plan, weights: Weights) -> str | None:
    """By what the weights are told to be a difference, or None."""
    tables = sorted(key for key in weights.keys if key.endswith("rotary_emb.inv_freq"))
    if tables and not weights.get(tables[0]).any():
        return f"{tables[0]} is zero"
    norm = plan.places.get(LANGUAGE + "norm.weight")
    if norm is not None and float(norm.read().float().abs().mean()) < NEARLY_ZERO:
        return "its last norm is nearly zero"
    return None


def _take_base(folder: Path, what: str, base: Path | None, made_on: str, plan: Plan, told: list[str]) -> None:
    if base is None:
        raise IncompleteCheckpoint(needs_base(folder, what, made_on))
    _refuse_other_language_models(base)
    weights = Weights.of_folder(base)
    _take(weights, plan)
    if EMBEDDING_KEY not in plan.places:
        raise CheckpointFormatError(
            f"{base} holds no language model; {folder} needs one: give it with --model-base."
        )
    told.append(f"{folder} holds {what}; the language model is read from {base}.")


def _refuse_other_language_models(base: Path) -> None:
    """By its config, where it has one: the weights of many others have a LLaMA's names and shapes."""
    kind = read_object(base / "config.json", may_lack=True).get("model_type", LANGUAGE_MODEL)
    if kind not in (LANGUAGE_MODEL, *MODEL_TYPES):
        raise UnsupportedCheckpoint(
            f"{base / 'config.json'} says model_type {kind!r}; a base must be a {LANGUAGE_MODEL!r}. Give another with "
            "--model-base."
        )


def _take_non_lora(folder: Path, plan: Plan, told: list[str]) -> None:
    """What was trained beside the updates: always the projector, unless the base brings one."""
    file = _first(folder, NON_LORA)
    if file is not None:
        _take_file(file, plan, told)
    if (folder / PROJECTOR_FILE).is_file():
        take_projector(plan, folder / PROJECTOR_FILE)
    if not any(name.startswith(PROJECTOR) for name in plan.places):
        raise CheckpointNotFound(
            f"{folder} has no {' or '.join(NON_LORA)}, where LLaVA's code keeps the projector of a LoRA folder, and "
            "its base has none; copy that file into it."
        )


def _take_file(file: Path, plan: Plan, told: list[str]) -> None:
    """Tensors of one file beside a base, going before the base's."""
    weights = Weights.of_files([file])
    inside = without_adapter_prefix(weights.keys)
    layout = layout_of(inside.values())
    if layout is None:
        raise CheckpointFormatError(
            f"{file} holds tensors that no LLaVA has, such as {min(weights.keys, default='none')}; copy the file again."
        )
    names = {key: layout.in_memory(short) for key, short in inside.items()}
    _take_words(file, weights, names, plan)
    plan.take(weights, names.get)
    told.append(f"{file.name} holds {len(names)} tensors by {layout.name} names.")


def _take_words(file: Path, weights: Weights, names: dict[str, str | None], plan: Plan) -> None:
    """A projector trained with start and end tokens brings their rows: the two alone, or the whole table with them."""
    key = next((key for key, name in names.items() if name == EMBEDDING_KEY), None)
    if key is None or EMBEDDING_KEY not in plan.places:
        return
    rows, own = len(weights.get(key)), len(plan.places[EMBEDDING_KEY].read())
    if rows >= own:
        return
    if rows != len(START_AND_END):
        raise CheckpointFormatError(
            f"{file} holds {rows} rows of {key}; expected {len(START_AND_END)}, for {' and '.join(START_AND_END)}, or "
            f"the whole table of at least {own}. It was made for another base: give that with --model-base."
        )
    plan.new_rows = Place(weights, key)
    del names[key]


def _take(weights: Weights, plan: Plan) -> None:
    plan.take(weights, _layout(weights).in_memory)


def _layout(weights: Weights):  # type: ignore[no-untyped-def]
    layout = layout_of(weights.keys)
    if layout is None:
        raise CheckpointFormatError(
            f"The tensors in {_files(weights)} are not those of a LLaVA or a LLaMA; copy the weights that belong to "
            "the config beside them."
        )
    return layout


def _own_values(
    path: Path, values: Mapping[str, Any], plan: Plan, told: list[str], tower: str | None, fetch: Fetch
) -> dict[str, Any]:
    projector = projector_type(path, values, plan.places)
    fit = fit_of(path, values)
    found = find_tower(
        str(values["mm_vision_tower"]),
        checkpoint=path.parent,
        given=tower,
        inside=any(name.startswith(TOWER) for name in plan.places),
        fit=fit,
        fetch=fetch,
    )
    if found.weights is not None:
        plan.take(found.weights, tower_name)
    template, why = template_of(values)
    told += [
        f"The weights hold a {projector} projector; the picture tower is {found.told}.",
        f"Pictures are made square by {fit!r}: image_aspect_ratio is {values.get('image_aspect_ratio', 'not given')}.",
        f"Template {template}, by {why}; --template names another.",
    ]
    own = transformers_values(path, values, tower=found.config, projector=projector)
    return own | {
        "template": template,
        "pixels": found.pixels.as_mapping(),
        "about": "",
        "mm_use_im_start_end": bool(values.get("mm_use_im_start_end")),
    }


def _settle_vocabulary(found: Recognised, values: Mapping[str, Any]) -> None:
    """Which token stands for a picture: one that is there (<im_patch>, <image>), else <image> is added.

    Tokens that the embedding has no row for get the mean of all rows (model/checkpoint/plan.py).
    """
    place = found.plan.places.get(EMBEDDING_KEY)
    if place is None:
        raise CheckpointFormatError(
            f"The weights for {found.folder} lack the embedding of words; copy them again."
        )
    rows = len(place.read())
    text = found.values["text_config"]
    if has_weights(found.folder) and text.get("vocab_size", rows) != rows:
        raise CheckpointFormatError(
            f"{found.config_path} says vocab_size {text['vocab_size']}, but {place.key} in {place.file} has {rows} "
            "rows; copy the config that belongs to these weights."
        )
    tokenizer = found.tokenizer
    if values.get("mm_use_im_patch_token", True):  # absent means true (LLaVA, model/builder.py, line 147)
        add_token(tokenizer, PATCH)
    if found.values["mm_use_im_start_end"]:
        found.plan.new_rows_at = add_token(tokenizer, START_AND_END[0])
        add_token(tokenizer, START_AND_END[1])
    known = tokenizer.get_added_vocab()
    image_token = next((token for token in (PATCH, "<image>") if token in known), "<image>")
    image_id = add_token(tokenizer, image_token)
    text["vocab_size"] = max(rows, len(tokenizer))
    text["bos_token_id"], text["eos_token_id"] = tokenizer.bos_token_id, tokenizer.eos_token_id
    found.values |= {"image_token_index": image_id}
    found.plan.num_rows = text["vocab_size"]
    found.told.append(f"Pictures stand at the token {image_token}, {image_id}.")


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _files(weights: Weights) -> str:
    files = weights.files
    return str(files[0]) if len(files) == 1 else f"the {len(files)} shards of {files[0].parent}"
