"""Writing a checkpoint folder: this project's own layout, that of transformers with our keys in config.json."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from ..checkpoint_errors import UnsupportedCheckpoint
from ..llava import Llava
from .config import own_keys


def save(folder: Path, model: Llava, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write weights, config and tokenizer; other files in the folder stay.

    A crash on the way leaves the old checkpoint or one without config.json, which `load` refuses: never one that
    loads wrongly. Raises CheckpointError where the config lacks a key of ours.
    """
    if getattr(model, "is_quantized", False):  # set by transformers and by our loading, and only there
        raise UnsupportedCheckpoint(
            f"{folder} was not written: the model was loaded in fewer bits, which cannot be undone; load it with "
            "--quantize none and save that."
        )
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
