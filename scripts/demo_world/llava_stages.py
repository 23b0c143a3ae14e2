"""The paper's two stages: align the projector on captions, then tune projector and language model on instructions.

The vision tower is frozen in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    EVEN_WEIGHTS,
    PLACING_WEIGHTS,
    RELATING_WEIGHTS,
    SEARCHING_WEIGHTS,
    Sample,
    caption_sample,
    picture_sample,
    small_talk_sample,
    text_sample,
)
from scripts.demo_world.scene import sample_scene
from scripts.demo_world.stage import Schedule
from scripts.demo_world.word_alignment import word_loss

ALIGN_SEEDS_FROM = 200_000_000
TUNE_SEEDS_FROM = 300_000_000
REHEARSAL_SEEDS_FROM = 850_000_000
_NUM_ALIGNED = 6  # pictures of a batch, beside the instructions


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
    """Stage 1: the picture, then its caption."""
    first = ALIGN_SEEDS_FROM + step * batch_size
    samples = [caption_sample(seed) for seed in range(first, first + batch_size)]
    return stage.loss(make_batch(samples, TEMPLATES["plain"], tokenizer).to(_device(stage)))


@dataclass(frozen=True, slots=True)
class TunePart:
    """A part of stage 2: how long, how fast, and what is asked."""

    name: str
    schedule: Schedule
    batch_size: int
    fewest_exchanges: int
    described_share: float  # conversations that end with a description
    weights: Mapping[str, float] = field(default_factory=lambda: EVEN_WEIGHTS)
    word_weight: float = 0.0  # of the alignment with words, so that it is not lost again
    aligns_first: bool = False  # the projector with words, by itself, before this part
    places_at_middles: bool = False  # see word_loss
    grows: bool = False  # scenes of one thing first, descriptions later

    def max_things(self, step: int) -> int:
        """How many things the step's scenes hold at most."""
        progress = step / self.schedule.num_steps if self.grows else 1.0
        return 1 if progress < 0.03 else 2 if progress < 0.1 else 3 if progress < 0.15 else 4

    def num_described(self, step: int) -> int:
        """How many of the step's conversations end with a description."""
        early = self.grows and step / self.schedule.num_steps < 1 / 6
        return 0 if early else round(self.described_share * self.batch_size)


TUNE_PARTS = (
    TunePart("tune-1", Schedule(1200, 1.5e-3, 60, 0.01, ends_at=400), 48, 4, 0.7, grows=True),
    TunePart("tune-2", Schedule(1900, 1.1e-3, 20, 0.01, ends_at=400), 24, 4, 0.6),
    TunePart(
        "tune-3",
        Schedule(1900, 1e-3, 50, 0.01, ends_at=600),
        16,
        6,
        0.3,
        SEARCHING_WEIGHTS,
        word_weight=0.1,
        aligns_first=True,
    ),
    TunePart(
        "tune-4", Schedule(2000, 9e-4, 30, 0.01, ends_at=1100), 16, 6, 0.3, PLACING_WEIGHTS, word_weight=0.1
    ),
    TunePart(
        "tune-5",
        Schedule(1400, 8e-4, 30, 0.01, ends_at=1100),
        16,
        6,
        0.3,
        PLACING_WEIGHTS,
        word_weight=0.1,
        aligns_first=True,
        places_at_middles=True,
    ),
    TunePart(
        "tune-6",
        Schedule(240, 4e-4, 10, 0.01),
        16,
        6,
        0.3,
        PLACING_WEIGHTS,
        word_weight=0.1,
        places_at_middles=True,
    ),
    TunePart(
        "tune-7",
        Schedule(800, 7e-4, 20, 0.01),
        16,
        6,
        0.3,
        RELATING_WEIGHTS,
        word_weight=0.1,
        places_at_middles=True,
    ),
    TunePart(
        "tune-8",
        Schedule(500, 5e-4, 20, 0.01),
        16,
        6,
        0.3,
        RELATING_WEIGHTS,
        word_weight=0.1,
        places_at_middles=True,
    ),
)
"""Stage 2. Descriptions teach early which colour, shape and place belong together; twice the projector
is aligned with words before a part. Found by trying, see docs/decisions/0007."""


def tune_loss(stage: Trained, tokenizer: PreTrainedTokenizerFast, number: int, step: int) -> Tensor:
    """Stage 2, part `number` of TUNE_PARTS; a little text keeps the language."""
    part = TUNE_PARTS[number]
    first = TUNE_SEEDS_FROM + number * 10_000_000 + step * part.batch_size
    samples = [
        _tune_sample(first + row, part, step, described=row < part.num_described(step))
        for row in range(part.batch_size)
    ]
    loss = stage.loss(make_batch(samples, TEMPLATES["llava_v0"], tokenizer, seed=step).to(_device(stage)))
    if part.word_weight:
        scenes = [scene for sample in samples for scene in sample.scenes][:_NUM_ALIGNED]
        loss = loss + part.word_weight * word_loss(
            stage.llava[0], tokenizer, scenes, places_at_middles=part.places_at_middles
        )
    return loss


def word_align_loss(
    stage: Trained, tokenizer: PreTrainedTokenizerFast, places_at_middles: bool, step: int, batch_size: int
) -> Tensor:
    """Projector only, on pictures and the words for their patches."""
    first = ALIGN_SEEDS_FROM + 10_000_000 + step * batch_size
    return word_loss(
        stage.llava[0], tokenizer, [sample_scene(seed) for seed in range(first, first + batch_size)],
        places_at_middles=places_at_middles,
    )  # fmt: skip


def _tune_sample(seed: int, part: TunePart, step: int, *, described: bool) -> Sample:
    how_many = part.fewest_exchanges + step % 4
    if seed % 20 == 0:
        return small_talk_sample(seed)
    if seed % 20 == 1:
        return text_sample(seed, how_many=how_many)
    return picture_sample(
        seed, how_many=how_many - described, max_things=part.max_things(step), described=described,
        weights=part.weights,
    )  # fmt: skip


def small_examination(loaded: LoadedModel, num_per_kind: int = 16) -> dict[str, float]:
    """The share right of each kind of question, on few questions and on scenes of its own, to watch a run by."""
    asked = list(questions(num_per_kind, seeds_from=REHEARSAL_SEEDS_FROM))
    marks = mark(asked, answer_all(loaded, asked))
    return {"all": sum(item.score for item in marks) / len(marks)} | {item.kind: item.score for item in marks}


def _device(stage: Trained) -> str:
    return str(next(stage.projector.parameters()).device)
