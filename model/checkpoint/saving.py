"""Writing a checkpoint folder: this project's own layout, that of transformers with our keys in config.json."""

from __future__ import annotations

import copy
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ..checkpoint_errors import UnsupportedCheckpoint
from ..llava import Llava
from .config import own_keys
from .key_names import HEAD_KEY, LLAVA_HF
from .shards import write_shards


def save(folder: Path, model: Llava, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write weights, config and tokenizer; other files in the folder stay.

    Keys are llava-hf's, which other programs know, and each tensor keeps its number format. A crash on the way leaves
    the old checkpoint or one without config.json, which `load` refuses: never one that loads wrongly. Raises
    CheckpointError where the config lacks a key of ours.
    """
    if getattr(model, "is_quantized", False):  # set by transformers and by our loading, and only there
        raise UnsupportedCheckpoint(
            f"{folder} was not written: the model was loaded in fewer bits, which cannot be undone; load it with "
            "--quantize none and save that."
        )
    config = copy.deepcopy(model.config)
    own_keys(folder / "config.json", config.to_dict(), template=None)
    # Other programs choose their class by this name, and theirs reads the MLP.
    is_theirs = config.projector_type == "mlp2x_gelu"
    config.architectures = ["LlavaForConditionalGeneration" if is_theirs else "Llava"]
    config.dtype = main_dtype(model)
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        written = Path(beside) / "new"  # which those may read who may read other new folders
        written.mkdir()
        write_shards(written, _tensors(model))
        config.save_pretrained(written)
        model.generation_config.save_pretrained(written)
        tokenizer.save_pretrained(written)
        _put_in_place(written, folder)


def main_dtype(model: Llava) -> torch.dtype:
    """The format of most of its numbers, which configs name."""
    counts: Counter[torch.dtype] = Counter()
    for parameter in model.parameters():
        counts[parameter.dtype] += parameter.numel()
    return counts.most_common(1)[0][0]


def _tensors(model: Llava) -> Iterator[tuple[str, Tensor]]:
    """(key, tensor); a head that is the table of words is written once."""
    for name, tensor in model.state_dict().items():
        if name == HEAD_KEY and model.config.tie_word_embeddings:
            continue
        key = LLAVA_HF.on_disk(name)
        if key is None:
            raise UnsupportedCheckpoint(
                f"{name} is no tensor of a LLaVA, so it was not written; save the model alone."
            )
        yield key, tensor


def _put_in_place(written: Path, folder: Path) -> None:
    """Rename file by file; config.json, without which a folder is no checkpoint, goes first and comes last."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").unlink(missing_ok=True)
    # What an older checkpoint left would be read with the new files: shards, index, words added to the vocabulary.
    for pattern in (
        "model*.safetensors",
        "pytorch_model*.bin",
        "tokenizer.model",
        "*.index.json",
        "added_tokens.json",
        "*_tokens_map.json",
    ):
        for old in folder.glob(pattern):
            old.unlink()
    for path in sorted(written.iterdir(), key=lambda path: path.name == "config.json"):
        path.replace(folder / path.name)
