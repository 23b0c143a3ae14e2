"""What a browser sent from the training view, read with the same suspicion as everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args

from app import training_form, wording
from app.library_request import LibraryRequest
from app.training_sources import Choice
from conversations.errors import InvalidText
from conversations.selection import Selection
from model.training.config import RecipeName
from model.training.recipes import Scale

LONGEST_PATH = 4000
MAX_FIELDS = 100


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    """What is to be trained. `mixed` is the second source; `fields` are those of TrainingConfig that the form shows."""

    name: str
    recipe: RecipeName
    model: str
    data: Choice
    mixed: Choice | None
    fields: Mapping[str, Any]
    frees_worker: bool

    @property
    def choices(self) -> tuple[Choice, ...]:
        return (self.data,) if self.mixed is None else (self.data, self.mixed)


@dataclass(frozen=True, slots=True)
class Known:
    """What the browser has of a job, so that only the rest is sent: lines of its metrics as of so many rewinds, and
    bytes of its log; `fresh`: nothing at all."""

    job: str
    fresh: bool
    num_rewinds: int
    num_lines: int
    log_bytes: int


class TrainingRequest(LibraryRequest):
    """The data of one event."""

    def recipe(self) -> RecipeName:
        value = self.text("recipe", 20)
        for recipe in get_args(RecipeName):
            if value == recipe:
                return recipe
        raise InvalidText(wording.FORGED)

    def scale(self) -> Scale:
        value = self.text("scale", 20) or "small"
        for scale in get_args(Scale):
            if value == scale:
                return scale
        raise InvalidText(wording.FORGED)

    def job(self) -> str:
        return self.text("job", 64)

    def choice(self, name: str = "data") -> Choice:
        """Raises InvalidFilters."""
        inner = TrainingRequest(self.mapping(name))
        kind = inner.text("kind", 20)
        given = inner._number("share", None, "The share")
        if given is not None and not 0 < given <= 10_000:
            raise InvalidText(f"The share cannot be {given:g} %; give one above 0 and at most 10,000.")
        share = 1.0 if given is None else float(Decimal(inner.text("share", 40).strip()) / 100)
        if kind == "library":
            return Choice("library", Selection(inner.filters()), share=share)
        if kind == "set":
            return Choice("set", None, inner.text("name"), share=share)
        if kind == "file":
            typed = inner.text("file", LONGEST_PATH), inner.text("pictures", LONGEST_PATH)
            return Choice("file", None, *typed, share=share)
        raise InvalidText(wording.FORGED)

    def training(self) -> TrainingOrder:
        """Raises InvalidFilters, InvalidConfig."""
        given = self.mapping("fields")
        if len(given) > MAX_FIELDS:
            raise InvalidText(wording.FORGED)
        typed = TrainingRequest(given)
        return TrainingOrder(
            name=self.text("name"),
            recipe=self.recipe(),
            model=self.text("model", LONGEST_PATH).strip(),
            data=self.choice("data"),
            mixed=self._mixed(),
            fields={name: training_form.read(name, typed.text(name)) for name in given},
            frees_worker=self.flag("frees_worker"),
        )

    def _mixed(self) -> Choice | None:
        """A selection is only ever the first source: its files are those of the run."""
        mixed = self.choice("mixed") if self.has("mixed") else None
        if mixed is not None and mixed.kind == "library":
            raise InvalidText(wording.FORGED)
        return mixed

    def known(self) -> Known | None:
        """None where no job is open, or what the browser has of it is not said."""
        if not self.has("job") or not self.has("lines"):
            return None
        return Known(
            self.job(), self.flag("fresh"), self.turn("rewinds"), self.turn("lines"), self.turn("log")
        )
