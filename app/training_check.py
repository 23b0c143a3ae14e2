"""The look through the data before a run: `python -m scripts.train --check` in a process of its own, one for a person,
which ends when the person leaves. What it found is kept as HTML, so that its folder can go at once."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app import job_process, wording
from app.training_check_view import report_html
from app.worker_child import OUR_VARIABLES
from conversations.errors import LogError
from model.training.config import DataSource, TrainingConfig
from model.training.data_report import DataReport
from model.training.run_folder import RunFolder

LEFT_SECONDS = 15.0
"""Without anybody asking how it goes: then nobody waits for it."""
SECONDS_TO_END = 3.0
_LOOK_SECONDS = 0.1

_log = logging.getLogger(__name__)

Writer = Callable[[Path], Sequence[DataSource]]


@dataclass(frozen=True, slots=True)
class CheckState:
    """`words` say how far it is, or why it failed; `html` what was found."""

    phase: Literal["none", "running", "done", "failed", "stopped"] = "none"
    words: str = ""
    html: str = ""
    may_start: bool = False


class TrainingChecks:
    """Any number of threads may call it. `command` begins the check of a run's folder, which is its last word."""

    def __init__(
        self,
        folder: Path,
        *,
        command: Sequence[str] = (sys.executable, "-m", "scripts.train", "--check", "--run"),
        environment: Mapping[str, str] | None = None,
        left_seconds: float = LEFT_SECONDS,
    ) -> None:
        self._folder = folder.absolute()
        self._command = tuple(command)
        given = os.environ if environment is None else environment
        self._environment = {
            name: value for name, value in given.items() if not name.startswith(OUR_VARIABLES)
        }
        self._left_seconds = left_seconds
        self._lock = threading.Lock()
        self._checks: dict[str, _Check] = {}

    def start(self, owner: str, config: TrainingConfig, write: Writer | None) -> None:
        """Begin anew; what this person began before ends. `write` makes the selection's files and says what is
        looked through then, instead of the config's own sources."""
        check = _Check(self._folder, self._command, self._environment, config, write, self._left_seconds)
        with self._lock:
            before = self._checks.get(owner)
            self._checks[owner] = check
        if before is not None:
            before.stop()
        check.thread.start()

    def state(self, owner: str) -> CheckState:
        with self._lock:
            check = self._checks.get(owner)
        return check.looked_at() if check is not None else CheckState()

    def stop(self, owner: str) -> None:
        with self._lock:
            check = self._checks.get(owner)
        if check is not None:
            check.stop()

    def close(self) -> None:
        """Ends all of them and waits for that."""
        with self._lock:
            checks = list(self._checks.values())
        for check in checks:
            check.stop()
        for check in checks:
            if check.thread.is_alive():
                check.thread.join(2 * SECONDS_TO_END)


class _Check:
    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        config: TrainingConfig,
        write: Writer | None,
        left_seconds: float,
    ) -> None:
        self._parent = folder
        self._command = command
        self._environment = environment
        self._config = config
        self._write = write
        self._left_seconds = left_seconds
        self._looked_at = time.monotonic()
        self._stopping = threading.Event()
        self._state = CheckState("running", "Beginning")
        self.thread = threading.Thread(target=self._run, name="training-check", daemon=True)

    def looked_at(self) -> CheckState:
        self._looked_at = time.monotonic()
        return self._state

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        try:
            self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self._parent, prefix="check-"))
            try:
                state = self._checked(RunFolder(folder))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            self._state = state
        except (LogError, OSError) as error:
            self._state = CheckState("failed", str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the person is told
            _log.exception("a check failed in a way that nobody foresaw")
            self._state = CheckState("failed", wording.sentence(error))

    def _checked(self, folder: RunFolder) -> CheckState:
        config = self._config
        if self._write is not None:
            self._state = replace(self._state, words="Writing the selection")
            config = config.changed(data=tuple(self._write(folder.path / "data")))
        folder.write_config(config)
        self._state = replace(self._state, words="Looking through the data")
        status = self._process(folder)
        if status is None:
            return CheckState("stopped", "Stopped.")
        try:
            report = DataReport.from_json(folder.check_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return CheckState("failed", _why(folder, status))
        return CheckState("done", "", report_html(report), report.may_start)

    def _process(self, folder: RunFolder) -> int | None:
        """Its exit status; None where it was stopped."""
        command = [*self._command, str(folder.path)]
        process = job_process.start(command, folder.log_file, self._environment)
        try:
            while process.poll() is None:
                is_left = time.monotonic() - self._looked_at > self._left_seconds
                if is_left or self._stopping.wait(_LOOK_SECONDS):
                    return None
                told = folder.status()
                if told is not None and told.words:
                    self._state = replace(self._state, words=told.words)
            return process.returncode
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """And what it started."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _why(folder: RunFolder, status: int) -> str:
    """Why there is no report."""
    told = folder.status()
    if told is not None and told.words and told.phase in ("failed", "stopped"):
        return told.words
    if status == -signal.SIGKILL:
        return "The check was killed (signal 9), most often because memory ran out; close something and try again."
    lines = folder.log_tail().strip().splitlines()
    last = f": {lines[-1][:300]}" if lines else "."
    return f"The check ended with exit status {status} and without a report{last}"
