"""The paper's two stages: align the projector on captions, then tune projector and language model on instructions.

The vision tower is frozen in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from conversations.template import TEMPLATES
from model.checkpoint import LoadedModel
from model.llava import Llava
from scripts.demo_world.batch import Batch, make_batch
from scripts.demo_world.candidate import answer_all
from scripts.demo_world.examination import mark, questions
from scripts.demo_world.samples import (
    Sample,
    caption_sample,
    picture_sample,
    small_talk_sample,
    text_sample,
)
from scripts.demo_world.word_alignment import word_loss

ALIGN_SEEDS_FROM = 200_000_000
TUNE_SEEDS_FROM = 300_000_000
REHEARSAL_SEEDS_FROM = 850_000_000
_NUM_ALIGNED = 6  # pictures of a batch, beside the instructions
_WORD_WEIGHT = 0.1


class Trained(nn.Module):
    """The parts of a LLaVA that a stage trains, under one roof; everything else is frozen."""

    def __init__(self, llava: Llava, *, language_too: bool) -> None:
        super().__init__()
        llava.requires_grad_(False)
        self.projector = llava.model.multi_modal_projector.requires_grad_(True)
        if language_too:
            self.language = llava.model.language_model.requires_grad_(True)
        self.llava = (llava,)  # in a tuple, so that the frozen rest is no part of this module's state

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy over the trained tokens."""
        llava = self.llava[0]
        hidden = llava.model(
            input_ids=batch.input_ids, pixel_values=batch.pixel_values, attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
        ).last_hidden_state  # fmt: skip
        learned = batch.loss_mask[:, 1:]
        logits = llava.lm_head(hidden[:, :-1][learned])
        return F.cross_entropy(logits, batch.input_ids[:, 1:][learned])


def align_loss(stage: Trained, tokenizer: PreTrainedTokenizerFast, step: int, batch_size: int) -> Tensor:
    """Stage 1, projector only: the picture, then its caption; and every patch with the words for it."""
    first = ALIGN_SEEDS_FROM + step * batch_size
    samples = [caption_sample(seed) for seed in range(first, first + batch_size)]
    loss = stage.loss(make_batch(samples, TEMPLATES["plain"], tokenizer).to(_device(stage)))
    return loss + word_loss(
        stage.llava[0], tokenizer, [scene for sample in samples for scene in sample.scenes]
    )


@dataclass(frozen=True, slots=True)
class Course:
    """Stage 2 as a course: scenes of one thing first, then of more; descriptions a little later."""

    num_steps: int
    batch_size: int = 16
    fewest_exchanges: int = 5
    described_share: float = 0.35  # conversations that end with a description

    def max_things(self, step: int) -> int:
        """How many things the step's scenes hold at most."""
        progress = step / self.num_steps
        return 1 if progress < 0.03 else 2 if progress < 0.1 else 3 if progress < 0.15 else 4

    def num_described(self, step: int) -> int:
        """How many of the step's conversations end with a description."""
        return 0 if step / self.num_steps < 0.05 else round(self.described_share * self.batch_size)


def tune_loss(stage: Trained, tokenizer: PreTrainedTokenizerFast, course: Course, step: int) -> Tensor:
    """Stage 2: instructions, a little text to keep the language, and a tenth of the alignment to keep the words."""
    first = TUNE_SEEDS_FROM + step * course.batch_size
    samples = [
        _tune_sample(first + row, course, step, described=row < course.num_described(step))
        for row in range(course.batch_size)
    ]
    loss = stage.loss(make_batch(samples, TEMPLATES["llava_v0"], tokenizer, seed=step).to(_device(stage)))
    scenes = [scene for sample in samples for scene in sample.scenes][:_NUM_ALIGNED]
    return loss + _WORD_WEIGHT * word_loss(stage.llava[0], tokenizer, scenes)


def _tune_sample(seed: int, course: Course, step: int, *, described: bool) -> Sample:
    how_many = course.fewest_exchanges + step % 4
    if seed % 20 == 0:
        return small_talk_sample(seed)
    if seed % 20 == 1:
        return text_sample(seed, how_many=how_many)
    return picture_sample(
        seed, how_many=how_many - described, max_things=course.max_things(step), described=described
    )


def small_examination(loaded: LoadedModel, num_per_kind: int = 16) -> dict[str, float]:
    """The share right of each kind of question, on few questions and on scenes of its own, to watch a run by."""
    asked = list(questions(num_per_kind, seeds_from=REHEARSAL_SEEDS_FROM))
    marks = mark(asked, answer_all(loaded, asked))
    return {"all": sum(item.score for item in marks) / len(marks)} | {item.kind: item.score for item in marks}


def _device(stage: Trained) -> str:
    return str(next(stage.projector.parameters()).device)
