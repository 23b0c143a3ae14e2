"""Which base an adapter was made on: a few of the base's numbers, kept beside the adapter and compared before use.

A name says little: folders are moved, and one model goes by several names. So an adapter that is made here brings
`base.json`, with numbers from the words' table, from norms and from two layers. They are the same in every layout, and
nearly the same in every number format; words and norms stay as they are in 8 and 4 bits too.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checkpoint_errors import CheckpointFormatError
from .json_file import read_object
from .key_names import EMBEDDING_KEY, LANGUAGE
from .lora import base_of_adapter

_log = logging.getLogger(__name__)
BASE_FILE = "base.json"
SAMPLED = (
    EMBEDDING_KEY,
    LANGUAGE + "norm.weight",
    LANGUAGE + "layers.0.self_attn.q_proj.weight",
    LANGUAGE + "layers.0.mlp.down_proj.weight",
)
_ROWS, _COLUMNS = 8, 4
_ROUNDING, _SMALLEST = 0.01, 1e-6
"""Rounding to bfloat16 moves a number by 0.4 % at most, to float16 a small one by 6e-8."""
_MAY_DIFFER = 0.25
"""Of the numbers of one tensor. Of another model nearly all do."""

Numbers = list[tuple[int, int, float]]
"""Row, column (0 in a vector) and what stands there."""


def numbers_of(tensor: Tensor) -> Numbers:
    """A few of a tensor [R] or [R, C], spread over it."""
    table = tensor.reshape(len(tensor), -1)
    rows, columns = (
        {i * size // n for i in range(n)} for size, n in zip(table.shape, (_ROWS, _COLUMNS), strict=True)
    )
    return [(row, column, float(table[row, column])) for row in sorted(rows) for column in sorted(columns)]


def write_base(folder: Path, numbers: Mapping[str, Numbers]) -> None:
    """Beside an adapter; `numbers` are the `base_numbers` of the LoadedModel that it was made on."""
    if numbers:
        (folder / BASE_FILE).write_text(json.dumps({"numbers": numbers}) + "\n", encoding="utf-8")


def check_base(folder: Path, base: str, tensor_of: Callable[[str], Tensor | None]) -> None:
    """Refuse an adapter by its base's numbers; where it brings none, warn where its base went by another name.

    `base` is how the base was named. Raises CheckpointFormatError.
    """
    made_on = base_of_adapter(folder)
    if not check_numbers(folder, tensor_of) and made_on and not _is_same_name(made_on, base):
        _log.warning(
            "%s was made on %s and is added to %s: where that is another model, its answers are worthless; give its "
            "own base with --model-base",
            folder,
            made_on,
            base,
        )


def check_numbers(folder: Path, tensor_of: Callable[[str], Tensor | None]) -> bool:
    """Whether the base is the one that the adapter was made on, False where that cannot be told.

    `tensor_of` gives a tensor by its name in memory, None where it is not to be had. Raises CheckpointFormatError where
    the base is another.
    """
    path, num_compared = folder / BASE_FILE, 0
    for name, numbers in _recorded(path).items():
        tensor = tensor_of(name)
        if tensor is None or not tensor.is_floating_point() or not tensor.numel():
            continue  # the base's layers may be quantised, or packed by the engine
        there, off = _compared(numbers, tensor)
        if off > _MAY_DIFFER * there:
            made_on = base_of_adapter(folder)
            raise CheckpointFormatError(
                f"{folder} was made for another base{f', {made_on}' if made_on else ''}: {off} of {there} numbers of "
                f"{name} differ from those in {path}; give the base that it was trained on with --model-base."
            )
        num_compared += there
    return num_compared > 0


def _compared(numbers: Numbers, tensor: Tensor) -> tuple[int, int]:
    """How many of the numbers stand in the tensor, and how many of these differ by more than rounding."""
    table = tensor.reshape(len(tensor), -1)
    there = [
        (value, float(table[row, column]))
        for row, column, value in numbers
        if row < table.shape[0] and column < table.shape[1]
    ]
    off = [a for a, b in there if not abs(a - b) <= _ROUNDING * max(abs(a), abs(b)) + _SMALLEST]
    return len(there), len(off)


def _recorded(path: Path) -> dict[str, Numbers]:
    values: Any = read_object(path, may_lack=True).get("numbers", {})
    try:
        return {
            str(name): [(abs(int(row)), abs(int(column)), float(value)) for row, column, value in numbers]
            for name, numbers in values.items()
        }
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointFormatError(
            f"{path} does not hold numbers of a base ({error}); copy the adapter again, or take that file away."
        ) from error


def _is_same_name(made_on: str, base: str) -> bool:
    """Of the same last part, whichever folder or account it lies in and whichever revision was asked for."""
    one, other = (name.partition("@")[0].rstrip("/\\").casefold() for name in (made_on, base))
    return os.path.basename(one) == os.path.basename(other) or os.path.realpath(one) == os.path.realpath(
        other
    )
