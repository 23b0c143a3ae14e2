"""transformers' Trainer with LLaVA's batches: its loop, its optimisers, its accelerate, and so several processes; ours
are the order of samples, the two learning rates, what a checkpoint holds, and what is told. FSDP and DeepSpeed are a
launch flag to accelerate, but nobody has run them here: what `_load_from_checkpoint` and `write_result` read of a
network that is shared out among processes is unproven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import Trainer, TrainingArguments
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup
from transformers.trainer_callback import PrinterCallback

from model.training import checkpoints
from model.training.adapters import trained_state
from model.training.config import TrainingConfig
from model.training.dataset import IGNORED, SampleDataset, collate
from model.training.errors import CannotResume, LossNotFinite
from model.training.faults import is_out_of_memory
from model.training.order import GroupedOrder
from model.training.reporter import Reporter
from model.training.run_folder import COMPLETE, RunFolder
from model.training.watch import Watch

TRAINED = "trained.safetensors"
_FILES = (TRAINED, "optimizer.pt", "scheduler.pt", checkpoints.STATE)


class LlavaTrainer(Trainer):
    """`stopping()` is asked after every batch; True ends the run with a checkpoint. `base` is the fingerprint of the
    weights that it begins with."""

    optimizer: Any
    lr_scheduler: Any
    control: Any
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
        base: str = "",
    ) -> None:
        self._config, self.reporter, self._stopping = config, reporter, stopping
        self._base = base
        self._order: GroupedOrder | None = None
        self._grouped: int | None = None
        self._samples = checkpoints.digest_of(train.samples) if isinstance(train, SampleDataset) else ""
        super().__init__(
            model=network, args=arguments, data_collator=collator, train_dataset=train, eval_dataset=held_out,
            callbacks=[Watch(self)],
        )  # fmt: skip
        self.remove_callback(PrinterCallback)  # the reporter tells the same
        self.model_accepts_loss_kwargs = True
        self.num_skipped_before = 0  # left out of the data when it was read
        self._num_tokens = torch.zeros((), dtype=torch.long)  # read since the last log
        self._all_finite = torch.ones((), dtype=torch.bool)

    # -- order, optimiser, schedule --------------------------------------------------------------------------------

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int] | None:
        data = train_dataset if train_dataset is not None else self.train_dataset
        if isinstance(data, SampleDataset):
            # As when the run began, though its micro-batches may be smaller now: it stands somewhere in this order.
            self._grouped = self._grouped or self.args.train_batch_size
            self._order = GroupedOrder(data.lengths, data.has_picture, self._grouped, self._config.seed)
            return self._order
        return super()._get_train_sampler(data)

    def set_epoch(self, epoch: int) -> None:
        """Which order comes next. transformers tells it to samplers that it finds; wrapped thrice, as in a resumed run
        of several processes, it does not find ours."""
        if self._order is not None:
            self._order.set_epoch(epoch)

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
        self._num_tokens = self._num_tokens.to(self.args.device) + inputs["attention_mask"].sum()
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._all_finite = self._all_finite.to(loss.device) & torch.isfinite(loss)
        return loss

    def check_finite(self, *, weights: bool = False) -> None:
        """Raises LossNotFinite, in all processes at once. `weights`: also where the last step spoiled them, which the
        loss shows only at the next one. Asked before anything is saved."""
        good = self._all_finite.to(self.args.device)
        if weights:
            for parameter in self.model.parameters():
                if parameter.requires_grad:
                    good = good & torch.isfinite(parameter.detach()).all()
        if self.args.world_size > 1:
            good = self.accelerator.reduce(good.float(), "sum") == self.args.world_size
        if not bool(good):
            kept = RunFolder(Path(self.args.output_dir)).checkpoints()
            words = f"{kept[-1].name} is good" if kept else "there was no checkpoint yet"
            raise LossNotFinite(
                f"The loss was no number at or before step {self.state.global_step}. Nothing of it was saved: {words}. "
                "Lower the learning rate in config.json, or look for odd samples with --check, and resume."
            )

    def must_stop(self) -> bool:
        """Whether any of the processes was asked to."""
        asked = self._stopping()
        if self.args.world_size > 1:
            flag = torch.tensor(float(asked), device=self.args.device)
            asked = bool(self.accelerator.reduce(flag, "sum") > 0)
        return asked

    def take_num_tokens(self) -> float:
        """Read by all processes since the last call, this one's multiplied."""
        number = float(self._num_tokens) * self.args.world_size
        self._num_tokens = torch.zeros_like(self._num_tokens)
        return number

    @property
    def num_skipped(self) -> int:
        """Samples whose picture is or turned out unreadable."""
        later = self.train_dataset.num_skipped if isinstance(self.train_dataset, SampleDataset) else 0
        return self.num_skipped_before + later

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The mean loss over the held-out tokens, as `held_out_loss`. Broken off when the run is asked to stop."""
        self.model.eval()
        total, count = torch.zeros((), device=self.args.device), torch.zeros((), device=self.args.device)
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in self._held_out_batches():
                inputs = self._prepare_inputs(batch)
                total += self.model(**inputs, num_items_in_batch=1)["loss"]
                count += (inputs["labels"][:, 1:] != IGNORED).sum()
                if self._stopping():
                    break
        totals = self.accelerator.reduce(torch.stack([total, count]), "sum")
        self.model.train()
        values = {"eval_loss": float(totals[0] / totals[1].clamp(min=1))}
        if not self.must_stop():
            self.reporter.metrics({"step": self.state.global_step, "held_out_loss": values["eval_loss"]})
        # So that the step's end does not ask for it a second time.
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, values)
        return values

    def make_up_evaluation(self) -> None:
        """Where the run was ended within the evaluation of the step at which it goes on now."""
        step = self.state.global_step
        if self.eval_dataset is None or not 0 < step < self.state.max_steps:
            return
        if step % self._config.evaluate_every_steps:
            return
        lines = RunFolder(Path(self.args.output_dir)).metrics()
        if not any(line["step"] == step and "held_out_loss" in line for line in lines):
            self.evaluate()

    def _held_out_batches(self) -> Iterator[dict[str, Tensor]]:
        """This process' share, by length. No loader: it would draw from the random state that training goes on with."""
        data = self.eval_dataset
        mine = list(range(self.args.process_index, len(data), self.args.world_size))
        if isinstance(data, SampleDataset):
            mine.sort(key=data.lengths.__getitem__)
        size = self.args.eval_batch_size
        for start in range(0, len(mine), size):
            yield self.data_collator([data[index] for index in mine[start : start + size]])

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Whole or not at all: one without its mark is never resumed from, and is removed. Older ones go afterwards."""
        self.check_finite(weights=True)
        run, step = Path(self.args.output_dir), self.state.global_step
        folder = run / f"checkpoint-{step}"
        if (folder / COMPLETE).is_file():
            return  # asked to stop right after it was saved
        self.reporter.status = self.reporter.status.changed(phase="saving", words=f"Saving {folder.name}")
        self.reporter.tell()  # at once: who asked it to end gives it more time for this
        if self.args.should_save:
            checkpoints.remove(folder)
        self.accelerator.wait_for_everyone()
        number, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                grouped = self._grouped or self.args.train_batch_size
                checkpoints.finish(folder, self._config, self._samples, grouped, self._base)
        except BaseException:
            if self.args.should_save:
                checkpoints.remove(folder)
            raise
        finally:
            self.args.save_total_limit = number
        if self.args.should_save and number:
            checkpoints.keep_newest(run, number)
        if not self._stopping():
            self.reporter.status = self.reporter.status.changed(phase="training", words="Training")

    def _save(self, output_dir: str | None = None, state_dict: Mapping[str, Tensor] | None = None) -> None:
        """What is trained, and nothing else: the rest is the base's."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        trained = trained_state(self.accelerator.unwrap_model(self.model))
        if state_dict is not None:  # gathered from all processes, under FSDP or DeepSpeed
            trained = {name: state_dict[name].cpu().contiguous() for name in trained}
        save_file(trained, folder / TRAINED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Raises CannotResume."""
        folder = Path(resume_from_checkpoint)
        self._grouped = checkpoints.check_belongs(folder, self._config, self._samples, self._base)
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing and not (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            raise CannotResume(
                f"{folder} lacks {missing[0]}; remove the folder to go on before it, or start a new run."
            )
        network = self.accelerator.unwrap_model(model if model is not None else self.model)
        with _told(folder):
            saved = load_file(folder / TRAINED)
        wanted = {name: each for name, each in network.named_parameters() if each.requires_grad}
        if saved.keys() != wanted.keys() or any(saved[name].shape != wanted[name].shape for name in saved):
            raise CannotResume(
                f"{folder} was made by another recipe, rank or base than config.json names; put the old values back, "
                "or start a new run."
            )
        with torch.no_grad():
            for name, parameter in wanted.items():
                parameter.copy_(saved[name])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Raises CannotResume."""
        with _told(Path(checkpoint or "")):
            super()._load_rng_state(checkpoint)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Rates and weight decay are config.json's, which may have been changed since. Raises CannotResume."""
        if checkpoint is None or self.is_deepspeed_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        decays = [group["weight_decay"] for group in self.optimizer.param_groups]
        rates = list(self.lr_scheduler.base_lrs)
        with _told(Path(checkpoint)):
            super()._load_optimizer_and_scheduler(checkpoint)
        self.lr_scheduler.base_lrs = rates
        shares = [share(self.lr_scheduler.last_epoch) for share in self.lr_scheduler.lr_lambdas]
        for group, rate, share, decay in zip(self.optimizer.param_groups, rates, shares, decays, strict=True):
            group |= {"initial_lr": rate, "lr": rate * share, "weight_decay": decay}
        self.lr_scheduler._last_lr = [group["lr"] for group in self.optimizer.param_groups]  # what is logged


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """A file of a checkpoint that cannot be read, as CannotResume."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise CannotResume(
            f"{folder} cannot be read ({type(error).__name__}: {error}); remove the folder to go on before it, or "
            "start a new run."
        ) from error
