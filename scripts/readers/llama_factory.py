"""Reads an export with LLaMA-Factory's own loader, in its environment: FOLDER DEMO RESULT.json FORMAT

What its environment holds is not installed beside us, so it is imported by name.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import json
import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

STAGES = {"messages": "sft", "preference": "dpo", "kto": "kto"}


def main(folder: str, demo: str, result: str, format: str) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    _without_sound()
    stage = STAGES[format]
    hparams = importlib.import_module("llamafactory.hparams")
    data = importlib.import_module("llamafactory.data")
    tokenizer, processor = _processor(demo)
    arguments = {
        "stage": stage,
        "do_train": True,
        "finetuning_type": "lora",
        "model_name_or_path": demo,
        "dataset": "chatlog_train",
        "dataset_dir": folder,
        "template": "llava",
        "cutoff_len": 4096,
        "output_dir": tempfile.mkdtemp(),
        "overwrite_cache": True,
        "report_to": "none",
    }
    model_args, data_args, training_args, _, _ = hparams.get_train_args(arguments)
    template = data.get_template_and_fix_tokenizer(tokenizer, data_args)
    found = data.get_dataset(
        template,
        model_args,
        data_args,
        training_args,
        stage="rm" if stage == "dpo" else stage,
        tokenizer=tokenizer,
        processor=processor,
    )["train_dataset"]
    sides = ("chosen_", "rejected_") if stage == "dpo" else ("",)
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    rows = [
        {
            "learned": [
                tokenizer.decode([token for token in row[f"{side}labels"] if token != -100]) for side in sides
            ],
            "image_tokens": [list(row[f"{side}input_ids"]).count(image_id) for side in sides],
            "pictures": sum(os.path.isfile(path) for path in row["images"] or ()),
            "label": row["kto_tags"] if stage == "kto" else None,
        }
        for row in found
    ]
    Path(result).write_text(json.dumps(rows), encoding="utf-8")


def _without_sound() -> None:
    """Its data package imports torchaudio, whose wheels fit one build of torch each; no sound is read here."""
    module = types.ModuleType("torchaudio")
    module.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = module


def _processor(demo: str) -> tuple[Any, Any]:
    transformers = importlib.import_module("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=f"{demo}/tokenizer.json",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    )
    side = {"height": 60, "width": 60}
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 60}, crop_size=side)
    processor = transformers.LlavaProcessor(
        images,
        tokenizer,
        patch_size=10,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
    )
    processor.image_max_pixels, processor.image_min_pixels = (
        768 * 768,
        32 * 32,
    )  # as its model loader sets them
    return tokenizer, processor


if __name__ == "__main__":
    main(*sys.argv[1:])
