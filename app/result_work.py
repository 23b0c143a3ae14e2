"""Merging a result and putting one on the Hub: a process of its own, one at a time, with its progress for all who look.

The process is the same script that a person would start (scripts/convert_checkpoint.py, scripts/push_to_hub.py), so the
page stays without torch, and a merge that takes all memory ends that process and no other.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, Literal

from app.worker_child import OUR_VARIABLES, ROOT
from conversations.errors import LogError

_log = logging.getLogger(__name__)
Kind = Literal["", "merge", "push"]
Ended = Literal["done", "failed", "stopped"]
LOOK_SECONDS = 0.25
END_SECONDS = 15.0
"""For a process that is told to end, to take away what it has half written."""

LONGEST_OUTPUT = 200_000


class WorkRunning(LogError):
    """One is running already."""

    def __init__(self, words: str) -> None:
        super().__init__(f"{words} is not finished; wait until it has ended, or stop it.")


@dataclass(frozen=True, slots=True)
class WorkState:
    """`fraction` 0 to 1, None where it is not known; `words` say what is done, or how it ended."""

    job_id: str = ""
    kind: Kind = ""
    phase: Literal["none", "running", "done", "failed", "stopped"] = "none"
    fraction: float | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run. `named` is it in a few words; `secret` is kept out of everything that is told.

    `prepare` writes what it needs; `progress` tells how far it is from outside, `said` reads words of it from what was
    printed so far; `done` is said when it ended well, made from what it printed, `failed` words why it did not; `tidy`
    takes away what is left.
    """

    job_id: str
    kind: Kind
    named: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    prepare: Callable[[], None] = lambda: None
    progress: Callable[[], float | None] = lambda: None
    said: Callable[[str], str | None] = lambda output: None
    done: Callable[[str], str] = lambda output: "Done."
    failed: Callable[[str], str] = lambda words: words
    tidy: Callable[[bool], None] = lambda went_well: None
    secret: str = ""


class ResultWork:
    """Any number of threads may look; `start` is refused while one runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = WorkState()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> WorkState:
        return self._state

    def start(self, order: Order) -> None:
        """Returns at once. Raises WorkRunning."""
        with self._lock:
            if self._state.phase == "running":
                raise WorkRunning(f"“{self._state.words}”")
            self._stopping.clear()
            self._state = WorkState(order.job_id, order.kind, "running", None, order.named)
            self._thread = threading.Thread(target=self._run, args=(order,), name="result-work", daemon=True)
            self._thread.start()

    def stop(self, seconds: float | None = None) -> None:
        """Asks it to end; `seconds` to wait for that."""
        self._stopping.set()
        if seconds is not None and self._thread is not None:
            self._thread.join(seconds)

    def _run(self, order: Order) -> None:
        phase, words = self._outcome(order)
        order.tidy(phase == "done")  # before it is told: the next one may begin at once
        self._state = replace(
            self._state, phase=phase, words=words, fraction=1.0 if phase == "done" else None
        )

    def _outcome(self, order: Order) -> tuple[Ended, str]:
        try:
            order.prepare()
            with tempfile.TemporaryFile() as output:
                status = self._watched(order, output)
                told = _text(output).replace(order.secret or "\0", "•••")
            if status == 0:
                return "done", order.done(told)
            if self._stopping.is_set():
                return "stopped", f"{order.named}: stopped, and nothing of it was kept."
            return "failed", order.failed(failure(order.named, status, told))
        except OSError as error:
            return "failed", f"{order.named} could not be started: {error.strerror or error}."
        except Exception as error:  # noqa: BLE001 - the thread's edge: whatever it is, the person is told
            _log.exception("%s failed in a way that nobody foresaw", order.named)
            return "failed", f"{order.named} failed: {error}."

    def _watched(self, order: Order, output: IO[bytes]) -> int:
        process = subprocess.Popen(
            list(order.argv),
            cwd=ROOT,
            env=dict(order.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the page alone, which then ends it
        )
        while True:
            try:
                return process.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            if self._stopping.is_set():
                return _ended(process)
            words = order.said(_text(output))
            self._state = replace(self._state, fraction=order.progress(), words=words or order.named)


def environment_of(given: Mapping[str, str], **more: str) -> dict[str, str]:
    """What such a process may know: everything but the page's own settings, and what is added."""
    kept = {name: value for name, value in given.items() if not name.startswith(OUR_VARIABLES)}
    return {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false", **kept, **more}


def failure(named: str, status: int, output: str) -> str:
    """One sentence on why it ended: the scripts' last line is theirs."""
    if status == -signal.SIGKILL:
        return f"{named} was killed (signal 9), which most often means that the machine ran out of memory."
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    why = lines[-1][:600] if lines else f"it ended with status {status} and said nothing"
    return f"{named} failed: {why if why[-1] in '.!?' else why + '.'}"


def _ended(process: subprocess.Popen[Any]) -> int:
    """SIGINT first: a Python program then takes away what it has half written, which SIGTERM leaves lying."""
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def _text(output: IO[bytes]) -> str:
    """What was printed so far, past the process' own place in the file."""
    size = os.fstat(output.fileno()).st_size
    start = max(0, size - LONGEST_OUTPUT)
    return os.pread(output.fileno(), LONGEST_OUTPUT, start).decode("utf-8", errors="replace")
