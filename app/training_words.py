"""Numbers of a run in words: sizes, spans of time, how far it is."""

from __future__ import annotations

from collections.abc import Mapping

from conversations.jobs import JobPhase
from conversations.log_text import kept_text
from model.training.status import Phase, RunStatus

JOB_PHASES: Mapping[JobPhase, str] = {
    "queued": "Waiting", "running": "Running", "stopping": "Stopping", "stopped": "Stopped", "done": "Done",
    "failed": "Failed",
}  # fmt: skip
RUN_PHASES: Mapping[Phase, str] = {
    "starting": "Starting", "checking": "Looking through the data", "loading": "Loading the model",
    "encoding": "Encoding pictures", "evaluating": "Asking held-out questions", "training": "Training",
    "saving": "Saving", "done": "Done", "stopped": "Stopped", "failed": "Failed",
}  # fmt: skip


def gigabytes(num_bytes: float) -> str:
    """In GB, or in MB where that says more."""
    if num_bytes < 950_000_000:
        return f"{num_bytes / 1e6:,.0f} MB"
    return f"{num_bytes / 1e9:,.1f} GB"


def duration(seconds: float) -> str:
    """45 s, 2 min 05 s, 1 h 20 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s" if whole < 600 else f"{round(whole / 60)} min"
    hours, minutes = divmod(round(whole / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} days {hours % 24} h"


def share(part: float) -> str:
    """12.5 % for 0.125."""
    return f"{100 * part:.1f} %".replace(".0 %", " %")


def facts(status: RunStatus | None) -> dict[str, str]:
    """What the page shows of a run in numbers; "" for what is not known (yet)."""
    if status is None:
        return {}
    is_over = status.has_ended
    epochs = f"{status.epoch:.3g} of {status.num_epochs:g}" if status.num_epochs else ""
    return {
        "step": f"{status.step:,} of {status.num_steps:,}" if status.num_steps else "",
        "epoch": epochs,
        "left": duration(status.seconds_left) if status.seconds_left is not None and not is_over else "",
        "speed": f"{status.tokens_per_second:,.0f} tokens/s" if status.tokens_per_second else "",
        "memory": gigabytes(status.memory_bytes) if status.memory_bytes else "",
        "device": kept_text(status.device),
        "skipped": f"{status.num_skipped:,} pictures" if status.num_skipped else "",
        "held_out": before_and_after(status.held_out_loss_before, status.held_out_loss_after, "{:.3f}"),
        "matched": before_and_after(status.matched_before, status.matched_after, "share"),
    }


def before_and_after(before: float | None, after: float | None, form: str) -> str:
    def one(value: float) -> str:
        return share(value) if form == "share" else form.format(value)

    if before is None:
        return one(after) if after is not None else ""
    return f"{one(before)} → {one(after)}" if after is not None else one(before)


def fraction(status: RunStatus | None) -> float | None:
    """Of the whole run where it trains or was ended, else of the phase that it is in; None where that is not known."""
    if status is None:
        return None
    if status.phase == "done":
        return 1.0
    if (status.phase == "training" or status.has_ended) and status.num_steps:
        return min(1.0, status.step / status.num_steps)
    return status.fraction
