"""Weights on disk: what a checkpoint folder holds, how it is written and read.

A folder is the transformers layout (config.json, model.safetensors or its shards, tokenizer.json) with our
own keys in config.json: `projector_type`, `template`, `pixels` and `about`. config.json is read here and not
by AutoConfig: old LLaVA checkpoints also say `model_type: llava` and would be read silently as something
else. Pickled weights are never opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast
from transformers.models.llava.configuration_llava import LlavaConfig
from transformers.utils.logging import disable_progress_bar

from conversations.template import TEMPLATES, Template

from .llava import Llava
from .pixels import CLIP_MEAN, CLIP_STD, PixelConfig, PixelConfigError
from .projector import PROJECTOR_TYPES

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
OnProgress = Callable[[float], None]


class CheckpointError(Exception):
    """A checkpoint cannot be read or written. The message names the file, the fault and the remedy."""


class CheckpointNotFound(CheckpointError):
    """The folder, or a file that must be in it, is not there."""


class CheckpointFormatError(CheckpointError):
    """A file is there but holds something else than it should."""


class UnsupportedCheckpoint(CheckpointError):
    """A checkpoint of a kind that this program does not read."""


class DeviceError(CheckpointError):
    """The asked device or number format is not to be had on this machine."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A checkpoint, ready to be asked."""

    name: str  # the folder's name
    model: Llava  # in eval mode, on its device
    tokenizer: PreTrainedTokenizerFast
    template: Template
    num_patches: int  # image tokens a picture
    image_token_id: int
    context_tokens: int  # prompt and answer together
    about: str  # one sentence on what the model knows; may be empty
    pixels: PixelConfig
    image_wrap: tuple[str, str] | None = None  # special tokens around a picture (mm_use_im_start_end)


def save(folder: Path, model: Llava, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write weights, config and tokenizer. Raises CheckpointError where the config lacks a key of ours."""
    config = model.config.to_dict()
    _own_keys(folder / "config.json", config, template=None)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if config["projector_type"] == "mlp2x_gelu":
        # Other programs choose their class by this name, and theirs reads the MLP.
        path = folder / "config.json"
        written = json.loads(path.read_text(encoding="utf-8"))
        written["architectures"] = ["LlavaForConditionalGeneration"]
        path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load(
    folder: Path,
    *,
    dtype: str = "float32",
    device: str = "auto",
    template: str | None = None,
    on_progress: OnProgress | None = None,
) -> LoadedModel:
    """Read a checkpoint folder. `template` overrides the one that the config names. `on_progress` gets 0..1.

    Raises CheckpointError.
    """
    report = on_progress or (lambda fraction: None)
    report(0.0)
    torch_device, torch_dtype = _device(device), _dtype(dtype)
    values = _read_config(folder)
    chosen_template, pixels = _own_keys(folder / "config.json", values, template)
    tokenizer = _load_tokenizer(folder)
    report(0.05)
    config = _config(folder / "config.json", values)
    state = _read_tensors(folder, torch_dtype, lambda fraction: report(0.05 + 0.85 * fraction))
    model = _build(folder, config, state, torch_dtype)
    try:
        model.to(torch_device)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{folder} does not fit into the memory of {torch_device} as {dtype}; choose --dtype bfloat16, a smaller "
            "model or --device cpu."
        ) from error
    report(1.0)
    return LoadedModel(
        name=folder.resolve().name,
        model=model,
        tokenizer=tokenizer,
        template=chosen_template,
        num_patches=model.num_patches,
        image_token_id=int(model.config.image_token_id),
        context_tokens=int(model.config.text_config.max_position_embeddings),
        about=str(values.get("about", "")),
        pixels=pixels,
        image_wrap=("<im_start>", "<im_end>") if values.get("mm_use_im_start_end") else None,
    )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not folder.is_dir():
        raise CheckpointNotFound(f"There is no folder {folder}; give the path of a checkpoint folder.")
    if not path.is_file():
        raise CheckpointNotFound(
            f"{folder} has no config.json; give the folder that holds config.json and the weights."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointFormatError(f"{path} is not JSON ({error}); copy the checkpoint again.") from error
    if not isinstance(values, dict):
        raise CheckpointFormatError(
            f"{path} must hold a JSON object, not {type(values).__name__}; copy it again."
        )
    if values.get("model_type") != "llava":
        raise UnsupportedCheckpoint(
            f"{path} says model_type {values.get('model_type')!r}; expected 'llava'. Choose another."
        )
    missing = [key for key in ("vision_config", "text_config") if not isinstance(values.get(key), dict)]
    if missing:
        raise UnsupportedCheckpoint(
            f"{path} has no {' and no '.join(missing)}: this is the layout of LLaVA's own code. "
            "Convert it to the transformers layout first."
        )
    tower = values["vision_config"].get("model_type")
    if tower != "clip_vision_model":
        raise UnsupportedCheckpoint(
            f"{path} says vision_config.model_type {tower!r}; expected 'clip_vision_model'. Choose another."
        )
    return values


def _own_keys(path: Path, values: dict[str, Any], template: str | None) -> tuple[Template, PixelConfig]:
    """Our keys of config.json, checked; `template` given by hand goes before the config's."""
    projector_type = values.setdefault("projector_type", "mlp2x_gelu")
    if not isinstance(projector_type, str) or projector_type not in PROJECTOR_TYPES:
        raise CheckpointFormatError(
            f"{path} says projector_type {projector_type!r}; set it to one of: {', '.join(PROJECTOR_TYPES)}."
        )
    name = template or values.get("template")
    known = ", ".join(TEMPLATES)
    if name is None:
        raise CheckpointFormatError(
            f'{path} does not name its template, and it is never guessed: add "template" to it or give '
            f"--template, one of: {known}."
        )
    if not isinstance(name, str) or name not in TEMPLATES:
        raise CheckpointFormatError(f"{path}: there is no template {name!r}; choose one of: {known}.")
    try:
        pixels = _pixels(values)
    except PixelConfigError as error:
        raise CheckpointFormatError(f"{path}: {error}") from error
    return TEMPLATES[name], pixels


def _pixels(values: dict[str, Any]) -> PixelConfig:
    size = values["vision_config"].get("image_size", 336)
    given = values.get("pixels")
    if given is None:  # written by plain transformers: CLIP's own preparation
        return PixelConfig(size=size, fit="crop", mean=CLIP_MEAN, std=CLIP_STD)
    if not isinstance(given, dict):
        raise PixelConfigError(f"pixels is {given!r}; it must be an object with size, fit, mean and std.")
    pixels = PixelConfig.from_mapping(given)
    if pixels.size != size:
        raise PixelConfigError(
            f"pixels.size is {pixels.size} but vision_config.image_size is {size}; make them equal."
        )
    return pixels


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise CheckpointNotFound(
            f"{folder} has no tokenizer.json; convert its tokenizer.model, or copy the file into it."
        )
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    except Exception as error:  # tokenizers raises bare Exception on a bad file
        raise CheckpointFormatError(f"{path} is no readable tokenizer ({error}); copy it again.") from error
    _make_marks_special(tokenizer)
    return tokenizer


def _make_marks_special(tokenizer: PreTrainedTokenizerFast) -> None:
    """Added tokens that look like `<...>` become special, so that typed text can never become one of them."""
    marks = [token for token in tokenizer.added_tokens_decoder.values() if not token.special]
    tokenizer.backend_tokenizer.add_special_tokens(
        [
            AddedToken(token.content, special=True, normalized=False)
            for token in marks
            if token.content.startswith("<") and token.content.endswith(">")
        ]
    )


def _weight_files(folder: Path) -> list[Path]:
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointFormatError(
                f"{index} has no usable weight_map ({error}); copy it again."
            ) from error
        for name in names:
            if Path(name).name != name:
                raise CheckpointFormatError(
                    f"{index} names the file {name!r}; only files beside it are read."
                )
            if not (folder / name).is_file():
                raise CheckpointNotFound(
                    f"{folder} lacks {name}, which its index names; copy that file again."
                )
        return [folder / name for name in names]
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
        raise UnsupportedCheckpoint(
            f"{folder} holds pickled weights, which can run code; convert them to safetensors."
        )
    raise CheckpointNotFound(f"{folder} has no model.safetensors; copy the weights into it.")


def _read_tensors(folder: Path, dtype: torch.dtype, report: OnProgress) -> dict[str, torch.Tensor]:
    """Every tensor, in `dtype`, so that the slow part of loading is the part that is reported."""
    files = _weight_files(folder)
    total = sum(path.stat().st_size for path in files) or 1
    done, state = 0, {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as opened:
                for key in opened.keys():  # noqa: SIM118  (not a mapping: it has no iterator)
                    tensor = opened.get_tensor(key)
                    done += tensor.numel() * tensor.element_size()
                    state[key] = tensor.to(dtype) if tensor.is_floating_point() else tensor
                    report(min(1.0, done / total))
        except SafetensorError as error:
            raise CheckpointFormatError(f"{path} is damaged ({error}); copy the file again.") from error
    return state


def _config(path: Path, values: dict[str, Any]) -> LlavaConfig:
    """config.json as transformers' own config, our keys included."""
    try:
        return LlavaConfig.from_dict(values)
    except (StrictDataclassError, ValueError, TypeError, KeyError) as error:
        raise CheckpointFormatError(f"{path} holds a value that cannot be used: {error}") from error


def _build(folder: Path, config: LlavaConfig, state: dict[str, torch.Tensor], dtype: torch.dtype) -> Llava:
    """The network with these weights, on the CPU."""
    disable_progress_bar()  # progress goes to on_progress, not to the terminal
    try:
        model, info = Llava.from_pretrained(
            None, config=config, state_dict=state, dtype=dtype, output_loading_info=True
        )
    except (RuntimeError, ValueError, TypeError) as error:
        raise CheckpointFormatError(f"The weights in {folder} do not fit its config.json: {error}") from error
    # Rotary tables and position numbers are computed, whatever an old file says.
    left_over = [key for key in info["unexpected_keys"] if not key.endswith(("inv_freq", "position_ids"))]
    for keys, fault in ((info["missing_keys"], "lack"), (left_over, "hold, too many,")):
        if keys:
            raise CheckpointFormatError(
                f"The weights in {folder} {fault} {len(keys)} tensors by its config.json, the first of them "
                f"{min(keys)}; copy the weights again or correct the config (projector_type above all)."
            )
    return model.eval()


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise DeviceError(f"There is no number format {name!r}; choose one of: {', '.join(DTYPES)}.")
    return DTYPES[name]


def _device(name: str) -> torch.device:
    """ "auto" is the first of cuda, mps and cpu that there is; "cuda:1" names one of several."""
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
