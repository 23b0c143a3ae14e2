"""A checkpoint of any format, looked at and not yet read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from .plan import Plan


@dataclass(slots=True)
class Recognised:
    """What reading it needs: a config, a plan of its tensors, a tokenizer."""

    folder: Path
    told: list[str]  # what was recognised and why, in sentences
    values: dict[str, Any]  # config.json in the transformers layout, with our own keys
    plan: Plan
    tokenizer: PreTrainedTokenizerFast

    @property
    def config_path(self) -> Path:
        return self.folder / "config.json"
