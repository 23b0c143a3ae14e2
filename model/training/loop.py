"""A run from its folder's config to its result: the whole course as a list of steps."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainingArguments, set_seed

from conversations.new_folder import new_folder
from model.checkpoint import LoadedModel, load
from model.device import choose_device, choose_dtype
from model.training import base_files, checkpoints, faults, features
from model.training.adapters import prepare, write_result
from model.training.batches import Batches
from model.training.config import TrainingConfig
from model.training.dataset import SampleDataset
from model.training.errors import Interrupted, UnusableData
from model.training.features import PictureSource, PixelSource
from model.training.held_out import HeldOutQuestion, answers, questions
from model.training.network import TrainingNetwork
from model.training.picture_check import PictureCheck
from model.training.rendering import Rendering
from model.training.reporter import Reporter
from model.training.run_folder import RunFolder, write_whole
from model.training.samples import BROKEN, Samples, read
from model.training.trainer import LlavaTrainer

_OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit"}
MOST_LOOKED_AT, LOOK_SECONDS = 2000, 15.0
"""Pictures that are decoded before the start of a run that decodes its pictures on the way; so long at most."""
DONE, FAILED, STOPPED = 0, 1, 3
"""Exit statuses."""


def run(folder: RunFolder, device: str | None = None) -> int:
    """Train by the folder's config, from its newest checkpoint where there is one. Whatever goes wrong is told in
    status.json, and the exit status returned. `device` is what the config's is called in this process."""
    reporter = Reporter(folder, writes=os.environ.get("RANK", "0") == "0")
    with _asked_to_stop() as stop:
        try:
            config = folder.config()
            return _Course(folder, config.changed(device=device or config.device), reporter, stop).go()
        except Interrupted as error:
            reporter.phase("stopped", str(error))
            return STOPPED
        except Exception as error:  # noqa: BLE001 - the run's edge: whatever it is, the page must not show it as running
            reporter.say("".join(traceback.format_exception(error)))
            reporter.phase("failed", faults.sentence(error, folder))
            return FAILED


@dataclass(slots=True)
class _Stop:
    asked: bool = False

    def check(self, words: str = "Stopped before the training began; nothing was lost.") -> None:
        """Raises Interrupted where nothing is lost by ending at once."""
        if self.asked:
            raise Interrupted(words)


@contextmanager
def _asked_to_stop() -> Iterator[_Stop]:
    """SIGTERM and SIGINT ask once; a second one ends the process as usual."""
    stop = _Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.asked = True
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Course:
    """The steps share what they made."""

    def __init__(self, folder: RunFolder, config: TrainingConfig, reporter: Reporter, stop: _Stop) -> None:
        self._folder, self._config, self._reporter, self._stop = folder, config, reporter, stop
        self._begins, self._base = checkpoints.Beginning(), ""
        self._device = choose_device(config.device)
        state = PartialState(cpu=self._device.type == "cpu")
        self._num_processes = state.num_processes
        if self._device.type == "cuda":
            self._device = state.device  # each of several processes has its own

    def go(self) -> int:
        self._begins = checkpoints.beginning(self._folder.checkpoints())
        loaded = self._load()
        self._base = base_files.fingerprint(self._config.model)
        rendering = Rendering.of(loaded, self._config)
        samples = self._read(rendering, self._folder.broken() if self._goes_on else None)
        set_seed(self._config.seed)  # adapters begin at random
        adapted = prepare(loaded.model, self._config)
        pictures = self._pictures(loaded, samples)
        train, held_out = SampleDataset(samples.train, pictures), SampleDataset(samples.held_out, pictures)
        asked = questions(samples.asked, self._config.num_asked)
        trainer = LlavaTrainer(
            TrainingNetwork(loaded.model), self._config, self._arguments(train, held_out), train,
            held_out if len(held_out) else None, self._reporter, stopping=lambda: self._stop.asked, base=self._base,
        )  # fmt: skip
        self._reporter.status = self._reporter.status.changed(num_skipped=samples.left_out[BROKEN])
        trainer.num_skipped_before = samples.left_out[BROKEN]
        if not self._goes_on:
            self._examine("before", loaded, rendering, samples, asked, pictures, trainer)
        else:
            self._remember_before()
        self._train(trainer)
        trainer.check_finite(weights=True)
        if trainer.must_stop() and trainer.state.global_step < trainer.state.max_steps:
            step = trainer.state.global_step
            self._reporter.phase("stopped", f"Stopped at step {step}, which is saved; Resume goes on there.")
            return STOPPED
        self._examine("after", loaded, rendering, samples, asked, pictures, trainer)
        self._reporter.phase("saving", "Writing the result")
        if self._reporter.writes:
            shutil.rmtree(self._folder.result, ignore_errors=True)
            with new_folder(self._folder.result) as part:
                write_result(part, loaded, adapted, self._config.model)
            features.forget(self._folder.path)
        what: Any = "adapter" if self._config.keeps_adapter else "model"
        self._reporter.phase("done", "Done.", result=what, seconds_left=0.0)
        return DONE

    @property
    def _goes_on(self) -> bool:
        return self._begins.folder is not None

    def _train(self, trainer: LlavaTrainer) -> None:
        begins = self._begins
        self._reporter.phase("training", begins.words)
        PartialState().wait_for_everyone()  # all have seen which are whole
        for folder, why in begins.damaged.items():
            self._reporter.say(f"{why}; going on before it")
            if self._reporter.writes:
                checkpoints.unmark(folder)
        trainer.train(resume_from_checkpoint=str(begins.folder) if begins.folder else None)

    def _load(self) -> LoadedModel:
        config, reporter = self._config, self._reporter
        several = f", {self._num_processes} processes" if self._num_processes > 1 else ""
        reporter.phase(
            "loading", f"Loading {config.model} on {self._device}{several}", device=str(self._device)
        )
        quantize = "4bit" if config.recipe == "qlora" else "none"
        # What is trained gets float32 in `prepare`; what is frozen needs no more than the computation does.
        return load(
            config.model, dtype=config.precision, quantize=quantize, device=str(self._device), template=config.template,
            on_progress=lambda fraction: reporter.progress(fraction),
        )  # fmt: skip

    def _read(self, rendering: Rendering, broken: Mapping[str, str] | None) -> Samples:
        self._stop.check()
        self._reporter.phase("checking", "Reading the data")

        def on_progress(fraction: float) -> None:
            self._stop.check()
            self._reporter.progress(fraction)

        samples = read(self._config, rendering, on_progress, broken=broken)
        if self._reporter.writes and broken is None:
            found = {str(path): why for path, why in samples.broken.items()}
            write_whole(self._folder.broken_file, json.dumps(found))
        for path, why in samples.broken.items():
            self._reporter.say(f"{path} {why}")
        for reason, count in samples.left_out.items():
            self._reporter.say(f"left out: {count} {reason}")
        self._reporter.say(f"{len(samples.train)} samples, {len(samples.held_out)} held out")
        return samples

    def _pictures(self, loaded: LoadedModel, samples: Samples) -> PictureSource:
        source = PixelSource(samples.pictures, loaded.pixels)
        size = features.num_bytes(loaded.model, len(samples.pictures))
        placed = sum(len(sample.pictures) for sample in samples.train)
        num = len(samples.train)
        epochs = Batches.of(self._config, num, self._num_processes).num_epochs(self._config, num)
        uses = placed * epochs / max(1, len(samples.pictures))
        if not features.pays(self._config.feature_cache, self._folder.path, size, uses):
            self._look_at_some(samples)
            return source
        words = f"Encoding {len(samples.pictures)} pictures once ({size / 1e6:.0f} MB), each is used {uses:.1f} times"
        self._reporter.phase("encoding", words)

        def on_progress(fraction: float) -> None:
            self._stop.check()
            self._reporter.progress(fraction)

        with PartialState().main_process_first():
            made = features.encode(
                loaded.model,
                source,
                len(samples.pictures),
                self._folder.path,
                on_progress,
                model=f"{self._config.model} {self._base}",
            )
        found = PictureCheck(
            faults=dict(samples.broken), decoded=set(samples.pictures) - samples.broken.keys()
        )
        for place in sorted(made.broken):
            found.faults.setdefault(samples.pictures[place], "cannot be read")
        self._refuse_unreadable(found, samples)
        return made

    def _look_at_some(self, samples: Samples) -> None:
        """Where not every picture is decoded before the start, as many as say how many are broken."""
        if self._goes_on:
            return
        self._stop.check()
        whole = [path for path in samples.pictures if path not in samples.broken]
        some = random.Random(self._config.seed).sample(whole, min(len(whole), MOST_LOOKED_AT))
        found = PictureCheck(faults=dict(samples.broken))
        found.look_at(some, LOOK_SECONDS)
        self._refuse_unreadable(found, samples)

    def _refuse_unreadable(self, found: PictureCheck, samples: Samples) -> None:
        """Decoded whole, a picture may turn out broken that seemed well by its head. Raises UnusableData."""
        unreadable = [path for path in dict.fromkeys(samples.pictures) if path in found.faults]
        for path in unreadable:
            if path not in samples.broken:
                self._reporter.say(f"{path} cannot be read")
        if found.too_many(samples.pictures) and not self._goes_on:
            raise UnusableData(
                f"{len(unreadable)} of {found.num_judged(samples.pictures)} pictures cannot be read, more than 1 %; "
                f"the first is {unreadable[0]}. Put whole files in their place, or take their records out."
            )

    def _arguments(self, train: SampleDataset, held_out: SampleDataset) -> TrainingArguments:
        config = self._config
        batches = Batches.of(config, len(train), self._num_processes)
        micro, accumulated = batches.micro, batches.accumulated
        computed_in = choose_dtype(config.precision, self._device)
        return TrainingArguments(
            output_dir=str(self._folder.path), per_device_train_batch_size=micro, per_device_eval_batch_size=micro,
            gradient_accumulation_steps=accumulated, num_train_epochs=config.num_epochs,
            max_steps=config.max_steps or -1, learning_rate=config.learning_rate, weight_decay=config.weight_decay,
            max_grad_norm=config.max_grad_norm, optim=_OPTIMIZERS[config.optimizer],
            bf16=computed_in == torch.bfloat16, fp16=computed_in == torch.float16, use_cpu=self._device.type == "cpu",
            logging_steps=config.log_every_steps, logging_nan_inf_filter=False, save_strategy="steps",
            save_steps=config.save_every_steps, save_total_limit=config.num_checkpoints_kept,
            eval_strategy="steps" if len(held_out) else "no", eval_steps=config.evaluate_every_steps, seed=config.seed,
            remove_unused_columns=False, label_names=["labels"], report_to="none", disable_tqdm=True,
            dataloader_num_workers=2 if self._device.type == "cuda" else 0,
            dataloader_pin_memory=self._device.type == "cuda", ddp_find_unused_parameters=False,
        )  # fmt: skip

    def _examine(
        self,
        when: str,
        loaded: LoadedModel,
        rendering: Rendering,
        samples: Samples,
        asked: list[HeldOutQuestion],
        pictures: PictureSource,
        trainer: LlavaTrainer,
    ) -> None:
        """Loss and exact matches on what is held out; the answers are kept for the page to show."""
        if not len(samples.held_out):
            return
        self._reporter.phase(
            "evaluating",
            f"Asking {len(asked)} held-out questions" if asked else "Measuring the held-out loss",
        )

        stopped = {
            "before": "Stopped before the training began; nothing was lost.",
            "after": "Stopped after the last step, which is saved; Resume asks the questions.",
        }[when]

        def on_progress(fraction: float | None) -> None:
            self._stop.check(stopped)
            self._reporter.progress(fraction)

        on_progress(None)
        trainer.model.to(self._device)
        loss = trainer.evaluate()["eval_loss"]
        on_progress(None)  # asked to stop, it broke off
        given = list(answers(loaded, rendering, asked, pictures, samples.places, on_progress))
        right = sum(answer == question.right for answer, question in zip(given, asked, strict=True))
        share = right / len(asked) if asked else None
        self._reporter.status = self._reporter.status.changed(
            num_asked=len(asked), **{f"matched_{when}": share, f"held_out_loss_{when}": loss}
        )
        matched = f"{right} of {len(asked)} held-out answers match exactly, " if asked else ""
        self._reporter.say(f"{when}: {matched}held-out loss {loss:.4f}")
        if self._reporter.writes:
            self._write_answers(when, samples, asked, given)

    def _write_answers(
        self, when: str, samples: Samples, asked: list[HeldOutQuestion], given: list[str]
    ) -> None:
        earlier = self._folder.answers() if when == "after" else []
        rows = []
        for number, (question, answer) in enumerate(zip(asked, given, strict=True)):
            files = [str(samples.pictures[samples.places[sha256]]) for sha256 in question.example.pictures]
            row: dict[str, Any] = {"question": question.question, "pictures": files, "right": question.right}
            if said := [message.text for message in question.example.messages[:-1]]:
                row["earlier"] = said  # question, answer, and so on, so that it can be asked again as it was
            if number < len(earlier):
                row["before"] = earlier[number].get("before")
            rows.append(row | {when: answer})
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_whole(self._folder.answers_file, lines)

    def _remember_before(self) -> None:
        """What was measured before an earlier start of this run."""
        earlier = self._reporter.earlier
        if earlier is not None:
            self._reporter.status = self._reporter.status.changed(
                matched_before=earlier.matched_before, held_out_loss_before=earlier.held_out_loss_before,
                num_asked=earlier.num_asked,
            )  # fmt: skip
