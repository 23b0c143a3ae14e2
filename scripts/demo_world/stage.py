"""One stage of training: a plain loop that saves itself, so that an interrupted run goes on where it stopped.

A stage's batches are functions of the step's number, and nothing else is random, so a resumed run sees what an
uninterrupted one would have seen.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

SAVE_EVERY_STEPS = 100


@dataclass(frozen=True, slots=True)
class Schedule:
    """Linear warm-up, then a cosine from the peak learning rate down to a twentieth of it.

    `ends_at` cuts the stage before its cosine has come down, for a stage that another one takes over from.
    """

    num_steps: int
    learning_rate: float
    num_warmup_steps: int = 50
    weight_decay: float = 0.0
    ends_at: int | None = None

    @property
    def last_step(self) -> int:
        """How many steps are really taken."""
        return self.ends_at or self.num_steps

    def factor(self, step: int) -> float:
        """The share of the peak learning rate at this step (0-based)."""
        warm = min(1.0, (step + 1) / max(1, self.num_warmup_steps))
        return warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / self.num_steps)))


def run_stage(
    name: str,
    folder: Path,
    model: nn.Module,
    schedule: Schedule,
    loss_of: Callable[[int], Tensor],
    *,
    measure: Callable[[], dict[str, float]] | None = None,
    measure_every_steps: int = 200,
) -> None:
    """Train the model's parameters that ask for gradients, in place; `folder/<name>.pt` holds where it is.

    `loss_of(step)` draws the step's batch and returns its loss. A stage that is finished is only loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(_groups(trained, schedule), lr=schedule.learning_rate, betas=(0.9, 0.98))
    file = folder / f"{name}.pt"
    first_step = _restore(file, model, optimizer)
    started = time.monotonic()
    for step in range(first_step, schedule.last_step):
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * schedule.factor(step)
        model.train()
        loss = loss_of(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        done = step + 1
        if done % 20 == 0 or done == schedule.last_step:
            _report(
                folder, name, done, schedule, loss.item(), (time.monotonic() - started) / (done - first_step)
            )
        if measure and (done % measure_every_steps == 0 or done == schedule.last_step):
            model.eval()
            with torch.inference_mode():
                print(
                    f"    {name}: " + "  ".join(f"{key} {value:.3f}" for key, value in measure().items()),
                    flush=True,
                )
        if done % SAVE_EVERY_STEPS == 0 or done == schedule.last_step:
            _save(file, done, model, optimizer)
    model.eval()


def _groups(parameters: Iterable[nn.Parameter], schedule: Schedule) -> list[dict[str, object]]:
    """Weight decay on matrices only, as usual: gains and biases have no reason to shrink."""
    parameters = list(parameters)
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def _restore(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    if not file.exists():
        return 0
    saved = torch.load(file, weights_only=True, map_location="cpu")
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return int(saved["step"])


def _save(file: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Written beside and renamed, so that a cut never leaves half a file."""
    beside = file.with_suffix(".part")
    torch.save({"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, beside)
    os.replace(beside, file)


def _report(
    folder: Path, name: str, done: int, schedule: Schedule, loss: float, seconds_a_step: float
) -> None:
    minutes_left = (schedule.last_step - done) * seconds_a_step / 60
    pace = f"{seconds_a_step:.2f} s a step  {minutes_left:.1f} min left"
    print(f"{name} {done}/{schedule.last_step}  loss {loss:.4f}  {pace}", flush=True)
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"stage": name, "step": done, "loss": round(loss, 5)}) + "\n")
