"""What the model knew before: the examination of the drawn world, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model.training.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class OldWorld:
    """The mean score, 0 to 1, over all questions, and that of each kind of question."""

    score: float
    num_questions: int
    by_kind: Mapping[str, float]


def examined(model: Path, adapter: Path | None, num_per_kind: int) -> OldWorld:
    """Greedy answers to the same questions each time, about scenes that no training has seen. The adapter is merged
    into the model for it, in this process; the worker serves the same weights beside its base."""
    # Here and not above: torch takes seconds, and the page is to be started meanwhile.
    from model.checkpoint import load
    from scripts.demo_world.candidate import answer_all
    from scripts.demo_world.examination import mark, questions

    loaded = load(model, adapter=adapter, device="cpu")
    asked = list(questions(num_per_kind))
    marks = mark(asked, answer_all(loaded, asked))
    total = sum(item.score * item.num_questions for item in marks)
    return OldWorld(total / len(asked), len(asked), {item.kind: item.score for item in marks})


def examined_after(model: Path, run: RunFolder, num_per_kind: int) -> OldWorld:
    """The same of what a run brought out: an adapter of the model, or a model of its own."""
    if run.config().keeps_adapter:
        return examined(model, run.result, num_per_kind)
    return examined(run.result, None, num_per_kind)
