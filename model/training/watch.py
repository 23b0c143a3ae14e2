"""What goes on at each step beside training: telling how it goes, and ending it when asked, also within a step."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

if TYPE_CHECKING:
    from model.training.trainer import LlavaTrainer


class Watch(TrainerCallback):
    """A step of many accumulated batches can take minutes. One that is broken off counts as not begun: random state
    goes back to where it was, and the next start takes the step whole."""

    def __init__(self, trainer: LlavaTrainer) -> None:
        self._trainer = trainer
        self._first_step, self._began_at, self._logged_at = 0, 0.0, 0.0
        self._random: Any = None
        self._epoch_began_at: tuple[int, Any] = (0, None)
        self.rate: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._first_step = state.global_step
        self._trainer.make_up_evaluation()
        self._began_at = self._logged_at = time.monotonic()

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._trainer.set_epoch(int(state.epoch or 0))
        self._epoch_began_at = (state.global_step, _random_state())

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # An epoch's first step goes back to before its loader drew its seed, as it will again.
        step, before = self._epoch_began_at
        self._random = before if state.global_step == step else _random_state()

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._trainer.reporter.progress(self._trainer.reporter.status.fraction)
        if args.world_size == 1 and self._trainer.must_stop():
            _set_random_state(self._random)
            control.should_save = control.should_training_stop = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        done = state.global_step - self._first_step
        a_step = (time.monotonic() - self._began_at) / max(1, done)
        self._trainer.reporter.progress(
            state.global_step / state.max_steps, step=state.global_step, num_steps=state.max_steps,
            epoch=state.epoch or 0.0, num_epochs=float(state.num_train_epochs),
            seconds_left=a_step * (state.max_steps - state.global_step), words="Training",
            num_skipped=self._trainer.num_skipped,
        )  # fmt: skip
        if self._trainer.must_stop():
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Any = None,
        **_: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        self._trainer.check_finite()
        now = time.monotonic()
        self.rate = self._trainer.take_num_tokens() / max(1e-9, now - self._logged_at)
        self._logged_at = now
        self._trainer.reporter.progress(state.global_step / state.max_steps, tokens_per_second=self.rate)
        self._trainer.reporter.metrics(
            {
                "step": state.global_step, "epoch": round(state.epoch or 0.0, 4), "loss": logs["loss"],
                "learning_rate": logs["learning_rate"], "grad_norm": logs.get("grad_norm", math.nan),
                "tokens_per_second": self.rate,
            }
        )  # fmt: skip


def _random_state() -> Any:
    gpu = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), gpu


def _set_random_state(state: Any) -> None:
    of_python, of_numpy, of_torch, of_gpu = state
    random.setstate(of_python)
    np.random.set_state(of_numpy)
    torch.set_rng_state(of_torch)
    if of_gpu is not None:
        torch.cuda.set_rng_state(of_gpu)
