"""How a job ended, and in which words: from what its process wrote, its exit status, and what was asked of it."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from app.job_values import JobPhase
from model.training.run_folder import RunFolder
from model.training.status import RunStatus

STOP_SECONDS = 30.0
"""How long a job that is asked to stop may take to end."""
SAVING_SECONDS = 600.0
"""How long where its status says that it is saving: a large checkpoint takes minutes on a slow disk, and half of one is
of no use to anybody."""

_LONGEST_LINE = 300


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a process that is gone. `exit_status` as subprocess gives it, negative for a signal; None
    where it was the child of a page that is gone too. `asked`: to stop; `late`: it had not done so in time and was
    killed."""

    status: RunStatus | None
    exit_status: int | None
    asked: bool
    late: bool
    step: int | None
    last_line: str

    @classmethod
    def of(cls, folder: RunFolder, exit_status: int | None, *, asked: bool, late: bool) -> Ending:
        return cls(folder.status(), exit_status, asked, late, step_of(folder), last_line_of(folder))

    def told(self) -> tuple[JobPhase, str]:
        """The job's phase, and a sentence or two. What the process itself wrote as its end comes first: it may have
        died after its work was done."""
        if self.status is not None and self.status.has_ended:
            words = str(self.status.words).strip()  # somebody may have edited it
            if self.status.phase == "done":
                return "done", words or "Done."
            if self.status.phase == "stopped":
                return "stopped", self._with_way_on(words or "Stopped.")
            return "failed", self._with_way_on(words or "The training failed.")
        if self.asked:
            return "stopped", self._with_way_on(self._stopped())
        return "failed", self._with_way_on(self._gone())

    def _stopped(self) -> str:
        if self.late and self.status is not None and self.status.phase == "saving":
            return f"It was still saving {SAVING_SECONDS:.0f} seconds after it was asked to stop, and was killed."
        if self.late:
            return f"It had not ended {STOP_SECONDS:.0f} seconds after it was asked to, and was killed."
        if self.exit_status in (None, 0, -signal.SIGTERM):
            return "It was stopped before it could save anything new."
        return f"It was asked to stop and {self._how()}."

    def _gone(self) -> str:
        if self.exit_status is None:
            words = "Its process is gone and left no word, perhaps because it was killed or the machine was restarted"
        elif self.exit_status == -signal.SIGKILL:
            words = "It was killed (signal 9), perhaps because the machine ran out of memory"
        else:
            words = f"It {self._how()}"
        return f"{words}; the last line of its log: {self.last_line}" if self.last_line else f"{words}."

    def _how(self) -> str:
        if self.exit_status is None:
            return "ended without a word"
        if self.exit_status >= 0:
            return f"ended with exit status {self.exit_status}"
        try:
            return f"was ended by {signal.Signals(-self.exit_status).name}"
        except ValueError:
            return f"was ended by signal {-self.exit_status}"

    def _with_way_on(self, words: str) -> str:
        words = words if words.endswith((".", "!", "?")) else f"{words}."
        return words if "Resume" in words else f"{words} {way_on(self.step)}"


def way_on(step: int | None) -> str:
    return (
        "Resume begins again: no checkpoint was saved." if step is None else f"Resume goes on at step {step}."
    )


def step_of(folder: RunFolder) -> int | None:
    """Of the newest whole checkpoint."""
    whole = folder.checkpoints()
    return int(whole[-1].name.rpartition("-")[2]) if whole else None


def last_line_of(folder: RunFolder) -> str:
    lines = [line.strip() for line in folder.log_tail().splitlines() if line.strip()]
    return lines[-1][:_LONGEST_LINE] if lines else ""
