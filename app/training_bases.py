"""The models that a run can begin with: the running one, those that ran lately, and whatever a person types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.model_picker import facts_of, name_of, source_of
from app.recent_models import RecentModels
from app.worker_child import WorkerOptions
from conversations.errors import InvalidText

_OF_SEVERAL = ("model_base", "adapter", "vision_tower")
"""A model that is put together of several is none that a run can begin with."""


@dataclass(frozen=True, slots=True)
class Base:
    """`value` goes into the config."""

    value: str
    name: str
    facts: str


class TrainingBases:
    """`running` tells what the local worker was started with, None where it runs elsewhere."""

    def __init__(self, running: Callable[[], WorkerOptions | None], recent: RecentModels | None) -> None:
        self._running = running
        self._recent = recent

    def listed(self) -> list[Base]:
        """The running one first, each model once."""
        running = self._running()
        recent = self._recent.all().values() if self._recent is not None else ()
        found: dict[str, Base] = {}
        for options in (*([running] if running is not None else []), *recent, WorkerOptions()):
            if any(getattr(options, name) for name in _OF_SEVERAL):
                continue
            try:
                value = source_of(options.model)
            except InvalidText:  # it is no longer where it was
                continue
            is_running = options is running
            facts = ", ".join(part for part in ("running" if is_running else "", facts_of(options)) if part)
            found.setdefault(value, Base(value, name_of(options), facts))
        return list(found.values())

    def checked(self, typed: str) -> str:
        """A folder's whole path, or a name on the Hub. Raises InvalidText for what can be no model."""
        return source_of(typed)
