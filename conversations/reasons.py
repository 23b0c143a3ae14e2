"""What may be wrong with an answer, and how the database keeps it: one bit a reason, in this order for ever."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

Reason = Literal["wrong", "made_up", "incomplete", "rude", "too_long", "other"]

REASONS: tuple[Reason, ...] = get_args(Reason)


def bits_of(reasons: Iterable[str]) -> int:
    """Raises ValueError for a reason that there is not."""
    bits = 0
    for reason in reasons:
        if reason not in REASONS:
            raise ValueError(f"There is no reason {reason!r}; there are {', '.join(REASONS)}.")
        bits |= 1 << REASONS.index(reason)
    return bits


def reasons_of(bits: int) -> tuple[Reason, ...]:
    return tuple(reason for place, reason in enumerate(REASONS) if bits >> place & 1)
