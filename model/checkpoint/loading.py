"""Reading a checkpoint of any format: look at it, check it, build it. The steps in order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast
from transformers.models.llava.configuration_llava import LlavaConfig

from conversations.messages import ImageRef, Message
from conversations.template import Template

from ..checkpoint_errors import CheckpointFormatError, DeviceError
from ..device import choose_device, choose_dtype
from ..prompt import MissingToken, render
from .assembly import empty_model, fill
from .base_numbers import check_base
from .config import own_keys, transformers_config
from .heap import large_blocks_apart
from .hub import Hub
from .loaded_model import LoadedModel
from .lora import apply_adapter
from .placement import DEVICE_MAPS, on_one, shared_out
from .quantisation import choose_quantize
from .recognised import Recognised
from .recognition import recognise
from .room import check_memory, num_bytes

_log = logging.getLogger(__name__)
OnProgress = Callable[[float], None]
LOOKED_AT = 0.05
"""How much of the bar is done once the checkpoint was looked at; a share of the bar, not a measurement."""


def load(
    source: Path | str,
    *,
    model_base: str | Path | None = None,
    adapter: str | Path | None = None,
    vision_tower: str | Path | None = None,
    dtype: str | None = "float32",
    quantize: str = "none",
    device: str = "auto",
    device_map: str = "none",
    template: str | None = None,
    on_progress: OnProgress | None = None,
    hub: Hub | None = None,
) -> LoadedModel:
    """Read a checkpoint of any format that docs/checkpoints.md lists.

    `model_base` completes a delta, an adapter or a projector; `adapter` is merged into a complete checkpoint;
    `vision_tower` goes before the tower that LLaVA's own configs name. `dtype` "auto" is float32 on a CPU or Apple's
    GPU, on other GPUs bfloat16 where they compute in it, else float16; None keeps
    each tensor in the format that it has on disk, for writing it again. `quantize` is none, 8bit or 4bit. `device_map`
    "auto" shares the model out over the GPUs there are. `template` overrides the one that the config names.
    `on_progress` gets 0..1. `hub` fetches what is named and is no folder here. What was recognised is logged, and in
    `LoadedModel.told`. Raises CheckpointError.
    """
    report = on_progress or (lambda fraction: None)
    report(0.0)
    torch_device = choose_device(device)
    torch_dtype = None if dtype is None else choose_dtype(dtype, torch_device)
    bits = choose_quantize(quantize, torch_device)
    if device_map not in DEVICE_MAPS:
        raise DeviceError(f"There is no device map {device_map!r}; choose one of: {', '.join(DEVICE_MAPS)}.")
    hub = hub or Hub()
    folder = hub.fetch(str(source))
    found = recognise(
        folder,
        base=None if model_base is None else str(model_base),
        tower=None if vision_tower is None else str(vision_tower),
        fetch=hub.fetch,
    )
    if adapter is not None:
        with_adapter = hub.fetch(str(adapter))
        check_base(with_adapter, str(source), found.plan.before_updates)
        apply_adapter(found.plan, with_adapter, found.told)
    for sentence in found.told:
        _log.info("%s", sentence)
    chosen_template, pixels = own_keys(found.config_path, found.values, template)
    config = transformers_config(found.config_path, found.values)
    _check_vocabulary(found, config)
    image_wrap = ("<im_start>", "<im_end>") if found.values.get("mm_use_im_start_end") else None
    _check_template(found, chosen_template, image_wrap)
    model = empty_model(found.config_path, config)
    if torch_dtype is not None and device_map == "auto" and torch_device.type == "cuda":
        placement = shared_out(model, torch_dtype, bits)
    else:
        needed = found.plan.num_bytes if torch_dtype is None else num_bytes(model, torch_dtype, bits)
        check_memory(folder, needed, torch_device, torch_dtype)
        placement = on_one(torch_device)
    report(LOOKED_AT)
    with large_blocks_apart():
        numbers = fill(
            model,
            found.plan,
            folder=folder,
            dtype=torch_dtype,
            quantize=bits,
            placement=placement,
            report=lambda fraction: report(LOOKED_AT + (1 - LOOKED_AT) * fraction),
        )
    report(1.0)
    longest = int(config.text_config.max_position_embeddings)
    return LoadedModel(
        name=Path(source).resolve().name if Path(source).is_dir() else str(source),
        model=model,
        tokenizer=found.tokenizer,
        template=chosen_template,
        num_patches=model.num_patches,
        image_token_id=int(config.image_token_id),
        context_tokens=min(longest, int(found.values.get("context_tokens") or longest)),
        about=str(found.values.get("about", "")),
        pixels=pixels,
        image_wrap=image_wrap,
        quantize=bits,
        told=tuple(found.told),
        base_numbers=numbers,
    )


def _check_vocabulary(found: Recognised, config: LlavaConfig) -> None:
    """Every id that a prompt can hold must have an embedding, and no text may spell the image token's.

    Else the first such prompt would fail oddly.
    """
    folder, tokenizer = found.folder, found.tokenizer
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


def _check_template(found: Recognised, template: Template, image_wrap: tuple[str, str] | None) -> None:
    """Render a picture, a question and an answer once: a mark that the tokenizer lacks is found now."""
    messages = [Message("user", (ImageRef("0" * 64), "What is it?")), Message("assistant", ("A cat.",))]
    tokenizer: PreTrainedTokenizerFast = found.tokenizer
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
        raise CheckpointFormatError(
            f"{found.folder} does not fit the template {template.name}: {error}"
        ) from error
