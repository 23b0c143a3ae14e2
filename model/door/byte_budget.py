"""How many bytes all requests together may hold until their answers begin: bodies on their way in, then pictures.

A request may bring 173 MB of pictures, and a hundred may wait; without one limit for all of them they would take the
machine's memory. Who does not fit is refused with 429, like who finds the line full. To be used from one event loop.
"""

from __future__ import annotations

from types import TracebackType

from model.door.api_error import ApiError


class ByteBudget:
    """`held_bytes` of `most_bytes` are taken now."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0

    def hold(self) -> HeldBytes:
        """A part for one request, empty as yet."""
        return HeldBytes(self)

    def check(self, more_bytes: int) -> None:
        """Raises ApiError (queue_full) where so many more do not fit."""
        if self.held_bytes + more_bytes > self.most_bytes:
            raise ApiError(
                429,
                "queue_full",
                f"The requests that wait hold {self.held_bytes / 1e6:.0f} MB of pictures and this one needs "
                f"{more_bytes / 1e6:.1f} MB more; together they may hold {self.most_bytes / 1e6:g} MB. Ask again in a "
                "while.",
            )


class HeldBytes:
    """What one request holds. Whoever has it releases it in the end, however that comes."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._num_bytes = 0

    def check(self, num_bytes: int) -> None:
        """Raises ApiError (queue_full) where it could not come to hold as many."""
        self._budget.check(num_bytes - self._num_bytes)

    def set(self, num_bytes: int) -> None:
        """From now on it holds so many. Raises ApiError (queue_full) and changes nothing where these do not fit."""
        if num_bytes > self._num_bytes:
            self.check(num_bytes)
        self._budget.held_bytes += num_bytes - self._num_bytes
        self._num_bytes = num_bytes

    def release(self) -> None:
        """It holds nothing any more. Safe to call twice."""
        self.set(0)

    def __enter__(self) -> HeldBytes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()
