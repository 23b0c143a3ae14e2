"""The layout of LLaVA's own code (haotian-liu/LLaVA): LLaMA's keys, the projector beside them, `mm_…` in the config.

The vision tower lies in a folder of its own, `vision_tower/`, as CLIPVisionModel of transformers: that code always
builds the tower from such a folder, which the config names. The weights hold the tower too, and the config says that
they are to be used (`unfreeze_mm_vision_tower`), so that a tower which is no published one is not lost on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from model.checkpoint.key_names import CLIP, ORIGINAL_LINEAR, ORIGINAL_MLP, TOWER
from model.checkpoint.shards import write_shards

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
from .tokenizer_files import has_pieces, write_tokenizer
from .vocabulary import Vocabulary

TOWER_FOLDER = "vision_tower"


def write_original(folder: Path, source: Source) -> None:
    """Fill `folder` with weights, config, tokenizer and vision tower. Raises ExportError."""
    write_shards(folder, original_tensors(source), max_shard_bytes=source.max_shard_bytes)
    write_original_texts(folder, source)


def write_original_texts(folder: Path, source: Source) -> None:
    """All but the language model's weights, the vision tower in its own folder included."""
    loaded = source.loaded
    vocabulary = Vocabulary.of(loaded)
    write_tokenizer(
        folder,
        loaded.tokenizer,
        begins=True,
        context_tokens=loaded.context_tokens,
        dropped=vocabulary.dropped,
        source=source.folder,
        # LLaVA's own code tokenises with sentencepiece, where there is one.
        tokenizer_class="LlamaTokenizer" if has_pieces(source.folder) else "PreTrainedTokenizerFast",
    )
    _write_tower(folder / TOWER_FOLDER, source)
    given = loaded.model.generation_config
    ids = {name: getattr(given, name) for name in ("bos_token_id", "eos_token_id")}
    write_json(
        folder / "generation_config.json", {name: value for name, value in ids.items() if value is not None}
    )
    write_json(folder / "config.json", _config_values(source, vocabulary))


def original_tensors(source: Source) -> Iterator[tuple[str, Tensor]]:
    """(key, tensor) as LLaVA's own code names them. Raises ExportError where it has no place for one."""
    model = source.loaded.model
    if not model.config.multimodal_projector_bias:
        raise ExportError(
            f"{source.loaded.name} has a projector without bias, which LLaVA's own code does not know; write it with "
            "--to llava-hf."
        )
    layout = ORIGINAL_LINEAR if source.linear else ORIGINAL_MLP
    vocabulary = Vocabulary.of(source.loaded)
    for name, tensor in source.tensors():
        key = layout.on_disk(name)
        if key is None:
            raise ExportError(f"LLaVA's own layout has no place for {name}; write another layout with --to.")
        yield key, vocabulary.cut(name, tensor)


def _write_tower(folder: Path, source: Source) -> None:
    """The tower by itself, as openai/clip-vit-large-patch14 is laid out."""
    folder.mkdir()
    tower = ((CLIP.on_disk(name), tensor) for name, tensor in source.tensors() if name.startswith(TOWER))
    write_shards(
        folder,
        ((key, tensor) for key, tensor in tower if key is not None),
        max_shard_bytes=source.max_shard_bytes,
    )
    about_tower = {"architectures": ["CLIPVisionModel"], "torch_dtype": dtype_name(source.main_dtype)}
    write_json(folder / "config.json", vision_values(source.loaded.model) | about_tower)
    # That code pads by itself, as image_aspect_ratio says, and then lets this processor crop.
    pixels = image_processor_values(source.loaded.pixels) | {"image_processor_type": "CLIPImageProcessor"}
    pixels.pop("do_pad", None)
    write_json(folder / "preprocessor_config.json", pixels)


def _config_values(source: Source, vocabulary: Vocabulary) -> dict[str, Any]:
    loaded = source.loaded
    config = loaded.model.config
    own = own_values(loaded.model, loaded.pixels, loaded.template.name)
    if not vocabulary.dropped:
        own["image_token_index"] = loaded.image_token_id  # the token is in the tokenizer, and stays
    return (
        text_values(loaded.model)
        | own
        | {
            "architectures": ["LlavaLlamaForCausalLM"],
            "model_type": "llava_llama",
            "torch_dtype": dtype_name(source.main_dtype),
            "vocab_size": vocabulary.num_rows,
            "mm_vision_tower": TOWER_FOLDER,
            "unfreeze_mm_vision_tower": True,
            "mm_hidden_size": config.vision_config.hidden_size,
            "mm_projector_type": "linear" if source.linear else "mlp2x_gelu",
            "mm_vision_select_layer": config.vision_feature_layer,
            "mm_vision_select_feature": "patch",
            "mm_patch_merge_type": "flat",
            "mm_use_im_start_end": loaded.image_wrap is not None,
            "mm_use_im_patch_token": False,
            "use_mm_proj": True,
            "image_aspect_ratio": "pad" if loaded.pixels.fit == "pad" else "square",
            "tokenizer_model_max_length": loaded.context_tokens,
            "max_sequence_length": loaded.context_tokens,
            "tokenizer_padding_side": "right",
            "tune_mm_mlp_adapter": False,
            "freeze_mm_mlp_adapter": False,
        }
    )
