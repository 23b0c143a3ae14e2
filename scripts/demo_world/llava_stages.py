"""The paper's two stages: align the projector on captions, then tune projector and language model on instructions.

The vision tower is frozen in both.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from conversations.template import TEMPLATES
from model.checkpoint import LoadedModel
from model.llava import Llava
from scripts.demo_world.batch import Batch, make_batch
from scripts.demo_world.candidate import answer_all
from scripts.demo_world.examination import mark, questions
from scripts.demo_world.samples import Sample, caption_sample, picture_sample, small_talk_sample, text_sample

ALIGN_SEEDS_FROM = 200_000_000
TUNE_SEEDS_FROM = 300_000_000
REHEARSAL_SEEDS_FROM = 850_000_000


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


def first_tune_loss(
    stage: Trained, tokenizer: PreTrainedTokenizerFast, step: int, batch_size: int, num_steps: int
) -> Tensor:
    """Stage 2, first part: instructions about few things, then about up to four; descriptions come in at a sixth."""
    progress = step / num_steps
    max_things = 1 if progress < 0.03 else 2 if progress < 0.1 else 3 if progress < 0.15 else 4
    described_share = 0.0 if progress < 1 / 6 else 0.7
    return _instruction_loss(
        stage, tokenizer, TUNE_SEEDS_FROM, step, batch_size, described_share, max_things=max_things
    )


def tune_loss(
    stage: Trained, tokenizer: PreTrainedTokenizerFast, step: int, batch_size: int, num_steps: int
) -> Tensor:
    """Stage 2, second part: instructions about up to four things, in smaller batches and more steps."""
    described_share = 0.6 if step < num_steps / 2 else 0.35
    return _instruction_loss(
        stage, tokenizer, TUNE_SEEDS_FROM + 10_000_000, step, batch_size, described_share
    )


def _instruction_loss(
    stage: Trained,
    tokenizer: PreTrainedTokenizerFast,
    seeds_from: int,
    step: int,
    batch_size: int,
    described_share: float,
    *,
    max_things: int = 4,
) -> Tensor:
    """Descriptions teach which colour, shape and place belong together faster than single questions do; a little
    text keeps the language."""
    first = seeds_from + step * batch_size
    num_described = round(described_share * batch_size)
    samples = [
        _tune_sample(first + row, 4 + step % 4, max_things, described=row < num_described)
        for row in range(batch_size)
    ]
    return stage.loss(make_batch(samples, TEMPLATES["llava_v0"], tokenizer, seed=step).to(_device(stage)))


def _tune_sample(seed: int, how_many: int, max_things: int, *, described: bool) -> Sample:
    if seed % 20 == 0:
        return small_talk_sample(seed)
    if seed % 20 == 1:
        return text_sample(seed, how_many=how_many)
    if described:
        return picture_sample(seed, how_many=how_many - 1, max_things=max_things, described=True)
    return picture_sample(seed, how_many=how_many, max_things=max_things)


def small_examination(loaded: LoadedModel, num_per_kind: int = 16) -> dict[str, float]:
    """The share right of each kind of question, on few questions and on scenes of its own, to watch a run by."""
    asked = list(questions(num_per_kind, seeds_from=REHEARSAL_SEEDS_FROM))
    marks = mark(asked, answer_all(loaded, asked))
    return {"all": sum(item.score for item in marks) / len(marks)} | {item.kind: item.score for item in marks}


def _device(stage: Trained) -> str:
    return str(next(stage.projector.parameters()).device)
