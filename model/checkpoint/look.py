"""A checkpoint of any format, looked at and checked, with nothing of its weights read yet.

Loading begins with it. And before one model is ended for another, a look by itself tells whether that other can be had
(model/checkpoint_look.py).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast
from transformers.models.llava.configuration_llava import LlavaConfig

from conversations.messages import ImageRef, Message
from conversations.template import Template

from ..checkpoint_errors import CheckpointFormatError
from ..llava import Llava
from ..pixels import PixelConfig
from ..prompt import MissingToken, render
from .assembly import check, empty_model
from .base_numbers import check_base
from .config import own_keys, transformers_config
from .hub import Hub
from .lora import apply_adapter
from .placement import Placement, on_one, shared_out
from .quantisation import Quantize
from .recognised import Recognised
from .recognition import recognise
from .room import all_gpus, check_memory, num_bytes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found, and the network that it describes, still empty."""

    found: Recognised
    config: LlavaConfig
    template: Template
    pixels: PixelConfig
    image_wrap: tuple[str, str] | None
    model: Llava

    def place(
        self,
        device: torch.device,
        dtype: torch.dtype | None,
        quantize: Quantize,
        device_map: str,
        *,
        freed_by: int | None = None,
    ) -> Placement:
        """Where its weights go, once they are known to fit there: into what is free, and what the process `freed_by`
        gives back when it ends. Raises NoRoom."""
        if dtype is not None and device_map == "auto" and device.type == "cuda":
            return shared_out(self.model, dtype, quantize, None if freed_by is None else all_gpus())
        needed = self.found.plan.num_bytes if dtype is None else num_bytes(self.model, dtype, quantize)
        check_memory(self.found.folder, needed, device, dtype, freed_by=freed_by)
        return on_one(device)

    def check_weights(self) -> None:
        """Open each file of weights: are they whole, and of these names and shapes? Raises CheckpointError."""
        check(self.model, self.found.plan, self.found.folder)


def look(
    source: Path | str,
    *,
    model_base: str | Path | None = None,
    adapter: str | Path | None = None,
    vision_tower: str | Path | None = None,
    template: str | None = None,
    hub: Hub | None = None,
) -> Looked:
    """Fetch what is not here, recognise it and check what can be checked without its weights; what was recognised is
    logged. The options are `load`'s. Raises CheckpointError."""
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
    return Looked(found, config, chosen_template, pixels, image_wrap, model)


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
