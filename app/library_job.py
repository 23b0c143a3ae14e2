"""Long work in a thread of its own, one at a time, with its progress for whoever looks: an export or an import goes on
when the page that asked for it is closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from app import wording
from conversations.errors import LogError

_log = logging.getLogger(__name__)


class JobRunning(LogError):
    """One is running already."""

    def __init__(self, words: str) -> None:
        super().__init__(f"{words} is not finished; wait until it has ended, or stop it.")


class Stopped(Exception):
    """A person stopped it: raised inside the work where it reports."""


@dataclass(frozen=True, slots=True)
class JobState:
    """`fraction` from 0 to 1, None where it is not known; `words` say what was done so far, or why it failed."""

    number: int = 0
    kind: Literal["", "export", "import"] = ""
    name: str = ""
    phase: Literal["none", "running", "done", "failed", "stopped"] = "none"
    fraction: float | None = None
    words: str = ""

    def told(self) -> dict[str, Any]:
        return {
            "number": self.number, "kind": self.kind, "name": self.name, "phase": self.phase,
            "fraction": self.fraction, "words": self.words,
        }  # fmt: skip


Report = Callable[[float | None, str], None]
"""Called by the work now and then with how far it is; raises Stopped."""


class Job:
    """Any number of threads may look; `start` is refused while one runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = JobState()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> JobState:
        return self._state

    def start(
        self,
        kind: Literal["export", "import"],
        name: str,
        work: Callable[[Report], str],
        *,
        when_stopped: str,
    ) -> None:
        """`work` gives what is said when it is done, `when_stopped` is said when a person stops it. Raises
        JobRunning."""
        with self._lock:
            if self._state.phase == "running":
                raise JobRunning(self._state.name)
            self._stopping.clear()
            self._state = JobState(self._state.number + 1, kind, name, "running", None, "Beginning")
            self._thread = threading.Thread(
                target=self._run, args=(work, when_stopped), name="library-job", daemon=True
            )
            self._thread.start()

    def stop(self, seconds: float | None = None) -> None:
        """Asks it to end; `seconds` to wait for that."""
        self._stopping.set()
        if seconds is not None and self._thread is not None:
            self._thread.join(seconds)

    def _run(self, work: Callable[[Report], str], when_stopped: str) -> None:
        try:
            words = work(self._report)
        except Stopped:
            self._state = replace(self._state, phase="stopped", words=when_stopped)
        except (LogError, OSError) as error:
            self._state = replace(self._state, phase="failed", words=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the person is told
            _log.exception("%s failed in a way that nobody foresaw", self._state.name)
            self._state = replace(self._state, phase="failed", words=wording.sentence(error))
        else:
            self._state = replace(self._state, phase="done", fraction=1.0, words=words)

    def _report(self, fraction: float | None, words: str) -> None:
        if self._stopping.is_set():
            raise Stopped
        self._state = replace(self._state, fraction=fraction, words=words)
