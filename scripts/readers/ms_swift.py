"""Reads an export with ms-swift's own loader and template, in its environment: FOLDER DEMO RESULT.json FORMAT

What its environment holds is not installed beside us, so it is imported by name.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

FILES = {"messages": "train.jsonl", "preference": "train.ms-swift.jsonl", "kto": "train.jsonl"}
MODES = {"messages": "train", "preference": "rlhf", "kto": "kto"}
SIDES = {"messages": ("",), "preference": ("chosen_", "rejected_"), "kto": ("chosen_",)}


def main(folder: str, demo: str, result: str, format: str) -> None:
    os.environ["HF_HUB_OFFLINE"] = os.environ["USE_HF"] = "1"
    checkpoint = _checkpoint(demo)
    os.chdir(folder)  # pictures are looked for from here
    load_dataset = importlib.import_module("swift.dataset").load_dataset
    processor = importlib.import_module("swift.model").get_processor(checkpoint, model_type="llava1_5_hf")
    get_template = importlib.import_module("swift.template").get_template
    # what `swift rlhf` sets (arguments/rlhf_args.py): of a preference only the last answer is learned
    template = get_template(processor, loss_scale="default" if format == "messages" else "last_round")
    template.set_mode(MODES[format])
    found, _ = load_dataset([FILES[format]], split_dataset_ratio=0.0, strict=True, load_from_cache_file=False)
    tokenizer = processor.tokenizer
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    rows = []
    for row in found:
        encoded = template.encode(row)
        pixels = encoded.get(f"{SIDES[format][0]}pixel_values")
        rows.append(
            {
                "learned": [
                    tokenizer.decode([token for token in encoded[f"{side}labels"] if token != -100])
                    for side in SIDES[format]
                ],
                "image_tokens": [list(encoded[f"{side}input_ids"]).count(image_id) for side in SIDES[format]],
                "pictures": 0 if pixels is None else len(pixels),
                "label": encoded.get("label"),
            }
        )
    Path(result).write_text(json.dumps(rows), encoding="utf-8")


def _checkpoint(demo: str) -> str:
    """A folder as llava-hf's, without weights: for a data set their shapes are enough."""
    transformers = importlib.import_module("transformers")
    folder = tempfile.mkdtemp()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=f"{demo}/tokenizer.json",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens=["<image>"],
    )
    side = {"height": 60, "width": 60}
    transformers.LlavaProcessor(
        transformers.CLIPImageProcessor(size={"shortest_edge": 60}, crop_size=side),
        tokenizer,
        patch_size=10,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
    ).save_pretrained(folder)
    shutil.copy(f"{demo}/config.json", folder)
    return folder


if __name__ == "__main__":
    main(*sys.argv[1:])
