"""Tells the page how the run goes: status.json, at most twice a second, and metrics.jsonl."""

from __future__ import annotations

import contextlib
import math
import resource
import sys
import time
from typing import Any

import torch

from model.training.run_folder import RunFolder
from model.training.status import Phase, RunStatus

SECONDS_BETWEEN = 0.5


class Reporter:
    """Only the first of several processes writes (`writes`). A disk that refuses what is told does not end a run: that
    is left to what must be kept."""

    def __init__(self, folder: RunFolder, *, writes: bool = True) -> None:
        self._folder, self.writes = folder, writes
        self._told_at = 0.0
        self.earlier = folder.status()  # of a run that goes on
        self.status = RunStatus(started_at=time.time())

    def phase(self, phase: Phase, words: str, **changes: Any) -> None:
        """What is done from now on; told at once."""
        self.status = self.status.changed(
            **{"phase": phase, "words": words, "fraction": None, "seconds_left": None} | changes
        )
        self.say(words)
        self.tell()

    def progress(self, fraction: float | None = None, **changes: Any) -> None:
        """Within a phase; told now and then."""
        self.status = self.status.changed(fraction=fraction, **changes)
        if time.monotonic() - self._told_at >= SECONDS_BETWEEN:
            self.tell()

    def metrics(self, values: dict[str, Any]) -> None:
        """A logged step. JSON has no NaN: such a value, as a gradient's length in a step that was skipped, is left
        out."""
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        if self.writes:
            try:
                self._folder.add_metrics(values)
            except OSError as error:
                self.say(f"metrics.jsonl could not be written: {error}")
            self.say("  ".join(f"{name} {value:.6g}" for name, value in values.items()))

    def tell(self) -> None:
        """Write the status as it is."""
        self._told_at = time.monotonic()
        self.status = self.status.changed(memory_bytes=highest_memory())
        if self.writes:
            try:
                self._folder.write_status(self.status)
            except OSError as error:
                self.say(f"status.json could not be written: {error}")

    def say(self, words: str) -> None:
        """A line of the log."""
        if self.writes:
            with contextlib.suppress(OSError):  # the log's disk is full: the status says what happens
                print(words.encode("utf-8", "backslashreplace").decode(), flush=True)


def highest_memory() -> int:
    """Bytes: the GPU's highest since the start, or the process' highest resident set."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_allocated())
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024
