"""An adapter: low-rank changes of the language model's layers, and perhaps a projector of its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from model.engine.errors import AdapterError
from model.engine.linears import Delta

if TYPE_CHECKING:
    from model.llava import Llava

_keys = itertools.count(1)


@dataclass(eq=False)
class Adapter:
    """What one adapter changes. `key` is never used again, so nothing computed with it is taken for another's."""

    name: str
    deltas: Mapping[str, Delta]  # by the layer's name below the language model
    projector: nn.Module | None
    key: int = field(default_factory=lambda: next(_keys))


def read_adapter(name: str, folder: Path, model: Llava) -> Adapter:
    """Reads an adapter folder for this model. Raises AdapterError, which names the file and the remedy."""
    raise AdapterError(f"{folder} of {name} cannot be read yet.")
