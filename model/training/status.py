"""How a run goes, as its process tells it and the page shows it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

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
    matched_before: float | None = (
        None  # share of held-out answers that were exactly right; None: none was asked
    )
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
        """What a newer or an older program wrote is read as far as it is known. Raises ValueError for what is none, or
        was edited into something else: all runs are told in one list, so that one odd value would hide them all."""
        try:
            values = json.loads(text)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        if not isinstance(values, Mapping) or "phase" not in values:
            raise ValueError(f"no status: {text[:60]!r}")
        hints = get_type_hints(cls)
        given = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        for name, value in given.items():
            if not _fits(value, hints[name]):
                raise ValueError(f"{name} is {value!r:.60}")
        if given.get("num_asked") == 0:  # older programs said that none of none were right
            given |= {"matched_before": None, "matched_after": None}
        return cls(**given)


_LARGEST = 1e18


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    kinds = get_args(hint) or (hint,)
    if value is None:
        return NoneType in kinds
    if str in kinds:
        return isinstance(value, str)
    number = (int, float) if float in kinds else int
    # Neither NaN nor too large for arithmetic.
    return isinstance(value, number) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST
