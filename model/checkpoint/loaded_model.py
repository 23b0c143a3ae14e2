"""A checkpoint, ready to be asked: the value that `load` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerFast

from conversations.template import Template

from ..llava import Llava
from ..pixels import PixelConfig
from .base_numbers import Numbers


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A checkpoint, ready to be asked."""

    name: str  # the folder's name, or its id on the Hub
    model: Llava  # in eval mode, on its device
    tokenizer: PreTrainedTokenizerFast
    template: Template
    num_patches: int  # image tokens a picture
    image_token_id: int
    context_tokens: int  # prompt and answer together
    about: str  # one sentence on what the model knows; may be empty
    pixels: PixelConfig
    image_wrap: tuple[str, str] | None = None  # special tokens around a picture (mm_use_im_start_end)
    quantize: str = "none"  # "none", "8bit" or "4bit"
    told: tuple[str, ...] = ()  # what was recognised and why, in sentences
    base_numbers: Mapping[str, Numbers] = field(
        default_factory=dict
    )  # by which an adapter knows its base again
