"""A look at another model while the one before goes on answering: what cannot be had then costs nobody an answer.

It is a process of its own (model/checkpoint_look.py), so that the page stays without torch; it also fetches what is on
the Hub. It says what it does on its standard output, a JSON object a line, and logs on the other.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.worker_child import death_in_words, end, spawn, write_down

END_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class LookState:
    """How far it is, for people: `fraction` 0 to 1 of what is fetched."""

    words: str
    fraction: float = 0.0


class ModelLook:
    """One look, made once; it may be ended from any thread."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Callable[[bytes], object],
        words: str,
    ) -> None:
        """`log` keeps the lines that it logs; `words` say what is done until it says more itself."""
        self._command, self._environment, self._log = command, environment, log
        self._child: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.state = LookState(words)

    def why_not(self) -> str | None:
        """Look, and wait for it: why this model cannot be loaded, None where all is well so far."""
        with self._lock:
            if self._ended.is_set():
                return "it was not wanted any more"
            try:
                child = self._child = spawn(self._command, self._environment, log=subprocess.PIPE)
            except OSError as error:
                return f"it cannot be looked at: {error}"
        logged = threading.Thread(
            target=write_down, args=(child.stderr, self._log), name="look-log", daemon=True
        )
        logged.start()
        told: dict[str, Any] = {}
        for line in child.stdout or ():
            told = _object(line)
            if "words" in told:
                self.state = LookState(str(told["words"]), float(told["fraction"]))
        end(child, END_SECONDS)
        logged.join(timeout=1.0)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        if told.get("fits"):
            return None
        return str(told.get("failed") or death_in_words(child.returncode, "", "The look at it"))

    def end(self) -> None:
        """Its result is wanted no more."""
        self._ended.set()
        with self._lock:
            child = self._child
        if child is not None:
            end(child, END_SECONDS)


def _object(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
