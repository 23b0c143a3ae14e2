"""A job's process: how it is started so that it outlives the page, how it is known again, and how it is ended.

A process number alone says nothing: the kernel gives it to another process later. With the time at which the process
started it names one process for good. On Linux that time is counted from the boot and read with the boot's own id,
because the same moment told by the clock moves whenever the clock is set.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
JOB_VARIABLE = "LLAVA_LOOP_JOB"
"""By it a process is found whose number was never written down, because the page died right then."""

OUR_VARIABLES = ("LLAVA_LOOP_", "GRADIO_")
_PROC, _BOOT_ID = Path("/proc"), Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 22
"""Of /proc/PID/stat (man 5 proc), counted from 1; the name, field 2, may hold spaces and parentheses."""


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """One process, and no later one that gets its number."""

    pid: int
    start: str


def child_environment(environment: Mapping[str, str], job_id: str) -> dict[str, str]:
    """What a job may know: everything but the page's own settings, which hold passwords and tokens."""
    kept = {name: value for name, value in environment.items() if not name.startswith(OUR_VARIABLES)}
    # Waiting threads that spin take the page's share of a small machine.
    return {"OMP_WAIT_POLICY": "PASSIVE", **kept, JOB_VARIABLE: job_id, "PYTHONUNBUFFERED": "1"}


def start(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """In a session and a process group of its own, whose number is the process's: it lives on when the page ends, and
    no key that is pressed in the page's terminal reaches it. What it prints goes to the end of `log`. Raises
    OSError."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def mark_of(pid: int) -> ProcessMark | None:
    """None where there is no such process, or only what is left of one that has ended."""
    start = _start_of(pid)
    return None if start is None else ProcessMark(pid, start)


def is_running(mark: ProcessMark) -> bool:
    """Whether this very process still runs."""
    return _start_of(mark.pid) == mark.start


def _start_of(pid: int) -> str | None:
    if _BOOT_ID.exists():
        try:
            stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # none, or (where others' are hidden) one of another user's, and so not ours
            return None
        after_name = stat.rpartition(")")[2].split()  # begins with field 3, the state
        if after_name[0] in "ZX":
            return None
        return f"{_boot_id()}:{after_name[_START_FIELD - 3]}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return None


def is_of_this_boot(start: str) -> bool:
    """Whether a mark's start was read since this machine was switched on; False where boots have no id."""
    return _BOOT_ID.exists() and start.startswith(f"{_boot_id()}:")


def _boot_id() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()


def find(job_id: str) -> ProcessMark | None:
    """The process that was started for this job, whoever started it."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_first = os.getpgid(process.pid) == process.pid
            if is_first and process.environ().get(JOB_VARIABLE) == job_id:
                return mark_of(process.pid)
    return None


def ask_to_end(mark: ProcessMark) -> None:
    """SIGTERM to the process alone, since it needs those that read its data until its checkpoint is saved; a launcher
    of several processes passes it on to them."""
    if is_running(mark):
        with suppress(ProcessLookupError):
            os.kill(mark.pid, signal.SIGTERM)


def kill(mark: ProcessMark) -> None:
    """SIGKILL to its whole group."""
    if is_running(mark):
        with suppress(ProcessLookupError):
            os.killpg(mark.pid, signal.SIGKILL)


def kill_remains(pid: int) -> None:
    """The rest of a group whose first process has ended, such as readers of data. The kernel gives a number to nobody
    while a group still has it; so where there is a process of this number, the group is another's."""
    if psutil.pid_exists(pid):
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
