"""Weights on disk: what a checkpoint folder holds, how it is written and read.

A folder is the transformers layout (config.json, model.safetensors or its shards, tokenizer.json) with our
own keys in config.json (see checkpoint_config.py). Pickled weights are never opened.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast
from transformers.models.llava.configuration_llava import LlavaConfig
from transformers.utils.logging import disable_progress_bar

from conversations.messages import ImageRef, Message
from conversations.template import Template

from ..checkpoint_errors import CheckpointFormatError, CheckpointNotFound, DeviceError, UnsupportedCheckpoint
from ..device import choose_device, choose_dtype
from ..llava import Llava
from ..pixels import PixelConfig
from ..prompt import MissingToken, render
from .config import FOREIGN_FAULTS, own_keys, read_config, transformers_config

OnProgress = Callable[[float], None]


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
    """Write weights, config and tokenizer; other files in the folder stay.

    A crash on the way leaves the old checkpoint or one without config.json, which `load` refuses: never one that
    loads wrongly. Raises CheckpointError where the config lacks a key of ours.
    """
    config = model.config.to_dict()
    own_keys(folder / "config.json", config, template=None)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        written = Path(beside)
        model.save_pretrained(written)
        tokenizer.save_pretrained(written)
        if config["projector_type"] == "mlp2x_gelu":
            # Other programs choose their class by this name, and theirs reads the MLP.
            path = written / "config.json"
            values = json.loads(path.read_text(encoding="utf-8"))
            values["architectures"] = ["LlavaForConditionalGeneration"]
            path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        _put_in_place(written, folder)


def _put_in_place(written: Path, folder: Path) -> None:
    """Rename file by file; config.json, without which a folder is no checkpoint, goes first and comes last."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").unlink(missing_ok=True)
    # What an older checkpoint left would be read with the new files: shards, index, words added to the vocabulary.
    for pattern in (
        "model*.safetensors",
        "*.safetensors.index.json",
        "added_tokens.json",
        "*_tokens_map.json",
    ):
        for old in folder.glob(pattern):
            old.unlink()
    for path in sorted(written.iterdir(), key=lambda path: path.name == "config.json"):
        path.replace(folder / path.name)


def load(
    folder: Path,
    *,
    dtype: str = "float32",
    device: str = "auto",
    template: str | None = None,
    on_progress: OnProgress | None = None,
) -> LoadedModel:
    """Read a checkpoint folder. `template` overrides the one that the config names. `on_progress` gets 0..1.

    `dtype` "auto" is float32 on a CPU or Apple's GPU, on other GPUs bfloat16 where they compute in it, else float16.
    Raises CheckpointError.
    """
    report = on_progress or (lambda fraction: None)
    report(0.0)
    torch_device = choose_device(device)
    torch_dtype = choose_dtype(dtype, torch_device)
    values = read_config(folder)
    chosen_template, pixels = own_keys(folder / "config.json", values, template)
    tokenizer = _load_tokenizer(folder)
    config = transformers_config(folder / "config.json", values)
    _check_vocabulary(folder, tokenizer, config)
    image_wrap = ("<im_start>", "<im_end>") if values.get("mm_use_im_start_end") else None
    _check_template(folder, tokenizer, chosen_template, image_wrap)
    report(0.05)
    state = _read_tensors(folder, torch_dtype, lambda fraction: report(0.05 + 0.85 * fraction))
    model = _build(folder, config, state, torch_dtype)
    try:
        model.to(torch_device)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{folder} does not fit into the memory of {torch_device} as {torch_dtype}; choose --dtype "
            "bfloat16, a smaller model or --device cpu."
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
        image_wrap=image_wrap,
    )


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


def _check_vocabulary(folder: Path, tokenizer: PreTrainedTokenizerFast, config: LlavaConfig) -> None:
    """Every id that a prompt can hold must have an embedding, and no text may spell the image token's.

    Else the first such prompt would fail oddly.
    """
    rows = config.text_config.vocab_size
    if len(tokenizer) > rows:
        raise CheckpointFormatError(
            f"{folder / 'tokenizer.json'} has {len(tokenizer)} tokens but the model embeds {rows}; "
            "use the tokenizer that was saved with these weights."
        )
    if not 0 <= config.image_token_id < rows:
        raise CheckpointFormatError(
            f"{folder / 'config.json'} says image_token_index {config.image_token_id}, but ids go from 0 "
            f"to {rows - 1}; set it to the id of the image token."
        )
    image_token = tokenizer.added_tokens_decoder.get(config.image_token_id)
    taken = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)
    if image_token is None or config.image_token_id in taken:
        raise CheckpointFormatError(
            f"{folder / 'config.json'} says image_token_index {config.image_token_id}, but in its tokenizer that is "
            f"{tokenizer.convert_ids_to_tokens(config.image_token_id)!r}; set it to the id of an added token that "
            "stands for nothing else, such as <image>."
        )
    tokenizer.backend_tokenizer.add_special_tokens(
        [AddedToken(image_token.content, special=True, normalized=False)]
    )


def _check_template(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    template: Template,
    image_wrap: tuple[str, str] | None,
) -> None:
    """Render a picture, a question and an answer once: a mark that the tokenizer lacks is found now."""
    messages = [Message("user", (ImageRef("0" * 64), "What is it?")), Message("assistant", ("A cat.",))]
    try:
        render(
            template,
            messages,
            tokenizer,
            num_patches=1,
            image_token_id=0,
            open_turn=False,
            image_wrap=image_wrap,
        )
    except MissingToken as error:
        raise CheckpointFormatError(f"{folder} does not fit the template {template.name}: {error}") from error


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


def _build(folder: Path, config: LlavaConfig, state: dict[str, torch.Tensor], dtype: torch.dtype) -> Llava:
    """The network with these weights, on the CPU."""
    disable_progress_bar()  # progress goes to on_progress, not to the terminal
    try:
        model, info = Llava.from_pretrained(
            None, config=config, state_dict=state, dtype=dtype, output_loading_info=True
        )
    except FOREIGN_FAULTS as error:
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
