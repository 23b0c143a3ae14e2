"""The layout of llava-hf: what AutoProcessor and LlavaForConditionalGeneration of transformers 4 and 5 read.

Keys have the names that transformers 4, vLLM and llama.cpp's converter know, which transformers 5 reads too. The class
has always two layers in its projector, so a linear one gets a second that changes nothing, the identity, and the
activation `linear` between them. (vLLM has no activation of that name and refuses such a model.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.checkpoint.key_names import LLAVA_HF, PROJECTOR
from model.checkpoint.shards import write_shards

from .chat_template import chat_template
from .config_values import (
    dtype_name,
    image_processor_values,
    own_values,
    text_values,
    vision_values,
    write_json,
)
from .new_folder import ExportError
from .source import Source
from .tokenizer_files import wants_no_space_after_marks, write_tokenizer


def write_llava_hf(folder: Path, source: Source) -> None:
    """Fill `folder` with weights, config, tokenizer, processor and chat template. Raises ExportError."""
    write_shards(folder, _tensors(source), max_shard_bytes=source.max_shard_bytes)
    write_llava_hf_texts(folder, source)


def write_llava_hf_texts(folder: Path, source: Source) -> None:
    """All but the weights."""
    loaded = source.loaded
    image_token = loaded.tokenizer.convert_ids_to_tokens(loaded.image_token_id)
    spaces = wants_no_space_after_marks(loaded.tokenizer, source.folder)
    write_tokenizer(
        folder,
        loaded.tokenizer,
        begins=False,  # the chat template does, since servers tokenise a rendered chat as it is
        context_tokens=loaded.context_tokens,
        image_token=image_token,
        source=source.folder,
        spaces_by_template=spaces,
    )
    template = chat_template(
        loaded.template,
        bos_token=loaded.tokenizer.bos_token,
        image_token=image_token,
        image_wrap=loaded.image_wrap,
        spaces=spaces,
    )
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    write_json(
        folder / "chat_template.json", {"chat_template": template}
    )  # transformers before 4.50 reads this one
    write_json(folder / "preprocessor_config.json", _preprocessor_values(source))
    write_json(folder / "processor_config.json", _processor_values(source, image_token))
    write_json(folder / "generation_config.json", _generation_values(source))
    write_json(folder / "config.json", _config_values(source))


def _tensors(source: Source) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in source.tensors():
        key = LLAVA_HF.on_disk(name)
        if key is None:
            raise ExportError(
                f"The layout of llava-hf has no place for {name}; write another layout with --to."
            )
        yield key, tensor
    if source.linear:
        yield from _identity_layer(source)


def _identity_layer(source: Source) -> Iterator[tuple[str, Tensor]]:
    """A second layer that gives back what it gets, to the bit: every sum has one term that is not zero."""
    width = source.loaded.model.config.text_config.hidden_size
    key = LLAVA_HF.on_disk(PROJECTOR + "linear_2.")
    dtype = source.dtype or source.loaded.model.model.multi_modal_projector.linear_1.weight.dtype
    yield f"{key}weight", torch.eye(width, dtype=dtype)
    if source.loaded.model.config.multimodal_projector_bias:
        yield f"{key}bias", torch.zeros(width, dtype=dtype)


def _config_values(source: Source) -> dict[str, Any]:
    loaded = source.loaded
    config = loaded.model.config
    return own_values(loaded.model, loaded.pixels, loaded.template.name) | {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "torch_dtype": dtype_name(source.main_dtype),
        "image_token_index": loaded.image_token_id,
        "image_seq_length": loaded.num_patches,
        "context_tokens": loaded.context_tokens,
        "ignore_index": -100,
        "projector_hidden_act": "linear" if source.linear else "gelu",
        "multimodal_projector_bias": bool(config.multimodal_projector_bias),
        "mm_use_im_start_end": loaded.image_wrap is not None,
        "vision_feature_layer": config.vision_feature_layer,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        "tie_word_embeddings": bool(config.tie_word_embeddings),
        "text_config": text_values(loaded.model),
        "vision_config": vision_values(loaded.model),
    }


def _preprocessor_values(source: Source) -> dict[str, Any]:
    return image_processor_values(source.loaded.pixels) | {"processor_class": "LlavaProcessor"}


def _processor_values(source: Source, image_token: str) -> dict[str, Any]:
    config = source.loaded.model.config
    return {
        "processor_class": "LlavaProcessor",
        "image_token": image_token,
        "patch_size": config.vision_config.patch_size,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        "num_additional_image_tokens": 1,  # CLIP's class token, which "default" takes away again
    }


def _generation_values(source: Source) -> dict[str, Any]:
    """Ids alone. How to sample is the caller's to say, and a stop text would have to be given the tokenizer."""
    given = source.loaded.model.generation_config
    named = {name: getattr(given, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return {name: value for name, value in named.items() if value is not None}
