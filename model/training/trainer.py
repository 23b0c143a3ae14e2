"""transformers' Trainer with LLaVA's batches: its loop, its optimisers, its accelerate, and so FSDP, DeepSpeed and
several processes; ours are the order of samples, the two learning rates, what a checkpoint holds, and what is told.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup
from transformers.trainer_callback import PrinterCallback

from model.training.adapters import trained_state
from model.training.config import TrainingConfig
from model.training.dataset import IGNORED, SampleDataset, collate
from model.training.errors import CannotResume, LossNotFinite
from model.training.order import GroupedOrder
from model.training.reporter import Reporter
from model.training.run_folder import COMPLETE

TRAINED = "trained.safetensors"


class LlavaTrainer(Trainer):
    """`stopping()` is asked after every step; True ends the run with a checkpoint."""

    # The loss is a sum over the tokens of all accumulated batches.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        network: nn.Module,
        config: TrainingConfig,
        arguments: TrainingArguments,
        train: Dataset[Any],
        held_out: Dataset[Any] | None,
        reporter: Reporter,
        stopping: Callable[[], bool] = lambda: False,
        collator: Callable[[Sequence[dict[str, Any]]], dict[str, Tensor]] = collate,
    ) -> None:
        self._config, self._reporter = config, reporter
        super().__init__(
            model=network, args=arguments, data_collator=collator, train_dataset=train, eval_dataset=held_out,
            callbacks=[_Watch(self, stopping)],
        )  # fmt: skip
        self.remove_callback(PrinterCallback)  # the reporter tells the same
        self.model_accepts_loss_kwargs = True
        self.num_tokens = torch.zeros((), dtype=torch.long)  # read since the last log
        self._all_finite = torch.ones((), dtype=torch.bool)

    # -- order, optimiser, schedule --------------------------------------------------------------------------------

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int] | None:
        data = train_dataset if train_dataset is not None else self.train_dataset
        if isinstance(data, SampleDataset):
            size = self.args.train_batch_size
            return GroupedOrder(data.lengths, data.has_picture, size, self._config.seed)
        return super()._get_train_sampler(data)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Weight decay on matrices only; the projector at its own rate where it has one."""
        if self.optimizer is None:
            kind, values = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            self.optimizer = kind(self._groups(model if model is not None else self.model), **values)
        return self.optimizer

    def _groups(self, model: nn.Module) -> list[dict[str, Any]]:
        config = self._config
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                key = ("multi_modal_projector" in name, parameter.dim() > 1)
                groups.setdefault(key, []).append(parameter)
        return [
            {
                "params": parameters,
                "lr": config.projector_learning_rate or config.learning_rate
                if of_projector
                else config.learning_rate,
                "weight_decay": config.weight_decay if is_matrix else 0.0,
            }
            for (of_projector, is_matrix), parameters in sorted(groups.items(), key=lambda item: item[0])
        ]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """A linear rise, then a cosine down to the share that the config names."""
        if self.lr_scheduler is None:
            self.lr_scheduler = get_cosine_with_min_lr_schedule_with_warmup(
                optimizer if optimizer is not None else self.optimizer,
                num_warmup_steps=round(self._config.warmup_share * num_training_steps),
                num_training_steps=num_training_steps,
                min_lr_rate=self._config.last_rate_share,
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    # -- steps -----------------------------------------------------------------------------------------------------

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        self.num_tokens = self.num_tokens.to(self.args.device) + inputs["attention_mask"].sum()
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._all_finite = self._all_finite.to(loss.device) & torch.isfinite(loss)
        return loss

    def check_finite(self) -> None:
        """Raises LossNotFinite, before anything is saved that it spoiled."""
        if not bool(self._all_finite):
            raise LossNotFinite(
                f"The loss was no number at or before step {self.state.global_step}. Nothing of it was saved: the last "
                "checkpoint is good. Lower the learning rate, or look for odd samples with --check, and resume."
            )

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The mean loss over the held-out tokens, as `held_out_loss`."""
        loader = self.get_eval_dataloader()
        self.model.eval()
        total, count = torch.zeros((), device=self.args.device), torch.zeros((), device=self.args.device)
        with torch.no_grad(), self.compute_loss_context_manager():
            for inputs in loader:
                inputs = self._prepare_inputs(inputs)
                total += self.model(**inputs, num_items_in_batch=1)["loss"]
                count += (inputs["labels"][:, 1:] != IGNORED).sum()
        totals = self.accelerator.reduce(torch.stack([total, count]), "sum")
        self.model.train()
        loss = float(totals[0] / totals[1].clamp(min=1))
        self._reporter.metrics({"step": self.state.global_step, "held_out_loss": loss})
        return {"eval_loss": loss}

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Whole or not at all: one without its mark is never resumed from, and is removed."""
        self.check_finite()
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        shutil.rmtree(folder, ignore_errors=True)
        self._reporter.progress(self._reporter.status.fraction, words=f"Saving {folder.name}")
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if self.args.should_save:
            for file in folder.iterdir():
                _to_disk(file)
            (folder / COMPLETE).touch()

    def _save(self, output_dir: str | None = None, state_dict: Mapping[str, Tensor] | None = None) -> None:
        """What is trained, and nothing else: the rest is the base's."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        trained = trained_state(self.accelerator.unwrap_model(self.model))
        if state_dict is not None:  # gathered from all processes, under FSDP or DeepSpeed
            trained = {name: state_dict[name].cpu().contiguous() for name in trained}
        save_file(trained, folder / TRAINED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        network = self.accelerator.unwrap_model(model if model is not None else self.model)
        saved = load_file(Path(resume_from_checkpoint) / TRAINED)
        wanted = {name: each for name, each in network.named_parameters() if each.requires_grad}
        if saved.keys() != wanted.keys() or any(saved[name].shape != wanted[name].shape for name in saved):
            raise CannotResume(
                f"{resume_from_checkpoint} was made by another recipe, rank or base than config.json names; put the "
                "old values back, or start a new run."
            )
        with torch.no_grad():
            for name, parameter in wanted.items():
                parameter.copy_(saved[name])


def _to_disk(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


class _Watch(TrainerCallback):
    """Tells how it goes, and ends it when asked."""

    def __init__(self, trainer: LlavaTrainer, stopping: Callable[[], bool]) -> None:
        self._trainer, self._stopping = trainer, stopping
        self._first_step, self._began_at, self._logged_at = 0, 0.0, 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._first_step, self._began_at = state.global_step, time.monotonic()
        self._logged_at = self._began_at

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        done = state.global_step - self._first_step
        a_step = (time.monotonic() - self._began_at) / max(1, done)
        data = self._trainer.train_dataset
        self._trainer._reporter.progress(
            state.global_step / state.max_steps, step=state.global_step, num_steps=state.max_steps,
            epoch=state.epoch or 0.0, num_epochs=float(state.num_train_epochs),
            seconds_left=a_step * (state.max_steps - state.global_step), words="Training",
            num_skipped=data.num_skipped if isinstance(data, SampleDataset) else 0,
        )  # fmt: skip
        if self._stopping():
            control.should_save = True
            control.should_training_stop = True

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
        tokens = self._trainer.num_tokens
        rate = float(tokens) * args.world_size / max(1e-9, now - self._logged_at)
        self._trainer.num_tokens = torch.zeros_like(tokens)
        self._logged_at = now
        self._trainer._reporter.progress(state.global_step / state.max_steps, tokens_per_second=rate)
        self._trainer._reporter.metrics(
            {
                "step": state.global_step, "epoch": round(state.epoch or 0.0, 4), "loss": logs["loss"],
                "learning_rate": logs["learning_rate"], "grad_norm": logs.get("grad_norm", 0.0),
                "tokens_per_second": rate,
            }
        )  # fmt: skip
