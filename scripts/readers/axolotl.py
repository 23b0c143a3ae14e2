"""Reads an export with `datasets` and Axolotl's own collator, in its environment: FOLDER DEMO RESULT.json FORMAT

Without `role_boundaries` in its configuration Axolotl learns the questions too, with LLaVA's templates: so they are
given here, and a template with marks around each turn. What its environment holds is imported by name.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
)
BOUNDARIES = [{"role": "assistant", "start": "<|im_start|>assistant\n", "end": "<|im_end|>"}]


def main(folder: str, demo: str, result: str, format: str) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.chdir(folder)  # pictures are looked for from here
    transformers = importlib.import_module("transformers")
    strategies = importlib.import_module("axolotl.processing_strategies")
    collators = importlib.import_module("axolotl.utils.collators.mm_chat")
    load_dataset = importlib.import_module("datasets").load_dataset
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=f"{demo}/tokenizer.json",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens=["<image>", "<|im_start|>", "<|im_end|>"],
        chat_template=TEMPLATE,
    )
    side = {"height": 60, "width": 60}
    processor = transformers.LlavaProcessor(
        transformers.CLIPImageProcessor(size={"shortest_edge": 60}, crop_size=side),
        tokenizer,
        patch_size=10,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=TEMPLATE,
    )
    strategy = strategies.get_processing_strategy(
        processor, TEMPLATE, None, role_boundaries_override=BOUNDARIES
    )
    collator = collators.MultiModalChatDataCollator(tokenizer, strategy)
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    rows = []
    for row in load_dataset("json", data_files="train.jsonl", split="train"):
        batch = collator([row])
        labels, input_ids = batch["labels"][0].tolist(), batch["input_ids"][0].tolist()
        rows.append(
            {
                "learned": [tokenizer.decode([token for token in labels if token != -100])],
                "image_tokens": [input_ids.count(image_id)],
                "pictures": len(batch["pixel_values"]) if "pixel_values" in batch else 0,
                "label": None,
            }
        )
    Path(result).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
