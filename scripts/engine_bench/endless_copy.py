"""A copy of a checkpoint that has no end of sequence: every answer is as long as it is asked to be, on both sides."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def write_endless_copy(source: Path, folder: Path) -> Path:
    """Copy the checkpoint `source` into `folder`, without what names its end-of-sequence token, and return it."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.md"), dirs_exist_ok=True)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file():
            values = json.loads(path.read_text(encoding="utf-8"))
            for part in (values, values.get("text_config", {})):
                part.update({key: None for key in ("eos_token", "eos_token_id") if key in part})
            path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return folder
