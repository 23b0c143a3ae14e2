"""A run's curves for the page: its metrics read as far as they have grown, and told from where the browser left off.

A run that was resumed takes steps again: then what stood after them is gone, and whoever was told of it is told anew.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SERIES = ("loss", "held_out_loss", "learning_rate", "tokens_per_second")
MAX_POINTS = 800
"""Of one message: more than a plot has places. Longer stretches are told by their means."""

Point = dict[str, Any]


class Curves:
    """Of one run; one thread at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._place = 0  # bytes that were read
        self._known_as = (
            0  # which file that was, so that one that was put in its place is read from its beginning
        )
        self._points: dict[int, Point] = {}
        self._changed: list[tuple[int, int]] = []  # step of each line since the last rewind, with its number
        self.num_lines = 0
        self.num_rewinds = 0

    def read(self) -> None:
        """What was added since. A line that is half there is left for the next time."""
        try:
            with self._file.open("rb") as file:
                now = self._file.stat()
                if now.st_ino != self._known_as or now.st_size < self._place:
                    self._begin(now.st_ino)
                file.seek(self._place)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._place += len(whole)
        for line in whole.splitlines():
            self._add(line)

    def since(self, num_rewinds: int, num_lines: int) -> dict[str, Any]:
        """For a browser that knows so many lines as of so many rewinds: `whole` says that it begins anew."""
        is_new = num_rewinds != self.num_rewinds or num_lines > self.num_lines or num_lines == 0
        first = 0 if is_new else num_lines
        start = bisect_right(self._changed, first, key=lambda each: each[1])
        steps = sorted({step for step, _ in self._changed[start:]})
        points = [self._points[step] for step in steps]
        return {
            "whole": is_new,
            "from": first,
            "rewinds": self.num_rewinds,
            "lines": self.num_lines,
            "points": downsampled(points),
        }

    def _begin(self, known_as: int) -> None:
        self._place, self._known_as = 0, known_as
        self._points.clear()
        self._changed.clear()
        self.num_lines = self.num_rewinds = 0

    def _add(self, line: bytes) -> None:
        try:
            value = json.loads(line)
        except ValueError:
            return
        step = value.get("step") if isinstance(value, dict) else None
        if not isinstance(step, int):
            return
        self.num_lines += 1
        later = [each for each in reversed(self._points) if each > step] if self._is_behind(step) else []
        if later:
            self.num_rewinds += 1
            for each in later:
                del self._points[each]
            self._changed = [(each, number) for each, number in self._changed if each <= step]
        numbers = {name: value[name] for name in SERIES if _is_number(value.get(name))}
        self._points[step] = self._points.get(step, {"step": step}) | numbers
        self._changed.append((step, self.num_lines))

    def _is_behind(self, step: int) -> bool:
        return bool(self._points) and next(reversed(self._points)) > step


def downsampled(points: Sequence[Point], most: int = MAX_POINTS) -> list[Point]:
    """At most `most` points and the held-out ones: of neighbouring steps their means, at the last one's step. A loss
    that was measured on held-out data is never averaged."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / most)
    return [point for start in range(0, len(points), size) for point in _merged(points[start : start + size])]


def _merged(points: Sequence[Point]) -> list[Point]:
    mean: Point = {"step": points[-1]["step"]}
    for name in SERIES:
        values = [point[name] for point in points if name in point]
        if values and name != "held_out_loss":
            mean[name] = sum(values) / len(values)
    measured = [point for point in points if "held_out_loss" in point]
    kept = [{"step": each["step"], "held_out_loss": each["held_out_loss"]} for each in measured]
    if kept and kept[-1]["step"] == mean["step"]:
        mean |= kept.pop()
    return [*kept, mean]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
