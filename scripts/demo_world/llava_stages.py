"""The paper's two stages on the drawn world, by the project's own trainer: the course's parts, one after another.

Each part is a run with a folder of its own below the work folder, so that an interrupted course goes on where it
stopped; of a part that is over, only what it trained is read again. The vision tower is frozen throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import (
    PreTrainedTokenizerFast,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from model.checkpoint import LoadedModel
from model.llava import Llava
from model.training.adapters import prepare
from model.training.reporter import Reporter
from model.training.run_folder import RunFolder
from model.training.trainer import TRAINED, LlavaTrainer
from scripts.demo_world.candidate import answer_all
from scripts.demo_world.course import COURSE, Part
from scripts.demo_world.drawn_dataset import DrawnDataset, collate_with_phrases
from scripts.demo_world.examination import mark, questions
from scripts.demo_world.word_alignment import WordNetwork

REHEARSAL_SEEDS_FROM = 850_000_000
STEPS_BETWEEN_REHEARSALS = 300


def train_llava(
    llava: Llava,
    tokenizer: PreTrainedTokenizerFast,
    work: Path,
    *,
    seed: int = 0,
    loaded: Callable[[], LoadedModel] | None = None,
    course: tuple[Part, ...] = COURSE,
) -> None:
    """The whole course, in place. `loaded` gives the model as the examination takes it, for rehearsals on the way."""
    for number, part in enumerate(course):
        folder = RunFolder(work / part.name)
        folder.path.mkdir(parents=True, exist_ok=True)
        network = WordNetwork(
            llava, tokenizer, word_weight=part.word_weight, words_only=part.lesson == "words",
            places_at_middles=part.places_at_middles,
        )  # fmt: skip
        prepare(llava, part.config(seed))
        checkpoints = folder.checkpoints()
        if checkpoints and checkpoints[-1].name == f"checkpoint-{part.num_steps}":
            network.load_state_dict(load_file(checkpoints[-1] / TRAINED), strict=False)
            continue
        trainer = LlavaTrainer(
            network, part.config(seed), _arguments(part, folder.path, seed, llava.device),
            DrawnDataset(part, number, tokenizer), None, Reporter(folder), collator=collate_with_phrases,
        )  # fmt: skip
        if loaded is not None and part.lesson == "talk":
            trainer.add_callback(_Rehearsal(loaded))
        trainer.train(resume_from_checkpoint=str(checkpoints[-1]) if checkpoints else None)
    llava.config.use_cache = True
    llava.eval()


def _arguments(part: Part, folder: Path, seed: int, device: torch.device) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=part.batch_size, max_steps=part.num_steps,
        learning_rate=part.learning_rate, adam_beta2=0.98, max_grad_norm=1.0, use_cpu=device.type == "cpu",
        train_sampling_strategy="sequential", logging_steps=20, logging_nan_inf_filter=False, save_strategy="steps",
        save_steps=100, save_total_limit=1, eval_strategy="no", seed=seed, remove_unused_columns=False,
        label_names=["labels"], report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip


class _Rehearsal(TrainerCallback):
    """A small examination now and then, to watch a run by."""

    def __init__(self, loaded: Callable[[], LoadedModel]) -> None:
        self._loaded = loaded

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.global_step % STEPS_BETWEEN_REHEARSALS and state.global_step != state.max_steps:
            return
        loaded = self._loaded()
        loaded.model.eval()
        loaded.model.config.use_cache = True
        scores = small_examination(loaded)
        loaded.model.config.use_cache = False
        loaded.model.train()
        print("    " + "  ".join(f"{kind} {score:.3f}" for kind, score in scores.items()), flush=True)


def small_examination(loaded: LoadedModel, num_per_kind: int = 16) -> dict[str, float]:
    """The share right of each kind of question, on few questions and on scenes of its own, to watch a run by."""
    asked = list(questions(num_per_kind, seeds_from=REHEARSAL_SEEDS_FROM))
    marks = mark(asked, answer_all(loaded, asked))
    return {"all": sum(item.score for item in marks) / len(marks)} | {item.kind: item.score for item in marks}
