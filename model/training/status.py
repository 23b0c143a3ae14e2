"""How a run goes, as its process tells it and the page shows it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

Phase = Literal[
    "starting",
    "checking",
    "loading",
    "encoding",
    "evaluating",
    "training",
    "saving",
    "done",
    "stopped",
    "failed",
]
ENDED: tuple[Phase, ...] = ("done", "stopped", "failed")


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Times in seconds since 1970, sizes in bytes; None where it is not known (yet)."""

    phase: Phase = "starting"
    words: str = ""  # what is being done, or why it ended, in a sentence
    step: int = 0
    num_steps: int = 0
    epoch: float = 0.0
    num_epochs: float = 0.0
    fraction: float | None = None  # of the phase
    seconds_left: float | None = None
    tokens_per_second: float | None = None  # trained and read ones
    memory_bytes: int | None = None  # highest, of the GPU's or else of the process
    device: str = ""
    num_skipped: int = 0  # samples left out because of their picture
    result: Literal["adapter", "model", ""] = ""  # what lies in the folder `result`
    matched_before: float | None = None  # share of held-out answers that were exactly right
    matched_after: float | None = None
    num_asked: int = 0
    held_out_loss_before: float | None = None
    held_out_loss_after: float | None = None
    started_at: float | None = None
    updated_at: float = 0.0

    @property
    def has_ended(self) -> bool:
        return self.phase in ENDED

    def changed(self, **changes: Any) -> RunStatus:
        return replace(self, **changes)

    def to_json(self) -> str:
        """What is no number is told as not known: JSON has no NaN."""
        values = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> RunStatus:
        """What a newer or an older program wrote is read as far as it is known. Raises ValueError for what is none."""
        values = json.loads(text)
        if not isinstance(values, Mapping) or values.get("phase") not in get_args(Phase):
            raise ValueError(f"no status: {text[:60]!r}")
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
