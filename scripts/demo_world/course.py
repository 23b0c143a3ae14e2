"""The course of the shipped model: stage 1 and stage 2 in parts, each a run of the project's own trainer.

What is asked when, and how fast it is learned, was found by trying (docs/decisions/0007).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from model.training.config import DataSource, TrainingConfig
from scripts.demo_world.samples import EVEN_WEIGHTS, PLACING_WEIGHTS, RELATING_WEIGHTS, SEARCHING_WEIGHTS

Lesson = Literal["captions", "words", "talk"]
"""Captions: stage 1. Words: the projector alone learns to point to the words for its patches. Talk: stage 2."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the course: how long, how fast, and what is asked."""

    name: str
    lesson: Lesson
    num_steps: int
    learning_rate: float
    batch_size: int
    num_warmup_steps: int = 30
    last_rate_share: float = 0.05  # above it where another part goes on
    fewest_exchanges: int = 6
    described_share: float = 0.3  # of the conversations end with a description
    weights: Mapping[str, float] = field(default_factory=lambda: EVEN_WEIGHTS)
    word_weight: float = 0.0  # of the words beside the talk, so that they are not lost again
    places_at_middles: bool = True  # as in word_loss
    grows: bool = False  # scenes of one thing first, descriptions later

    def config(self, seed: int) -> TrainingConfig:
        """As the trainer takes it. The samples are drawn, so there is no file."""
        return TrainingConfig(
            recipe="finetune" if self.lesson == "talk" else "align",
            model="the tower and the language model that were trained before",
            data=(DataSource("the drawn world"),),
            max_steps=self.num_steps,
            batch_size=self.batch_size,
            micro_batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup_share=self.num_warmup_steps / self.num_steps,
            last_rate_share=self.last_rate_share,
            weight_decay=0.01 if self.lesson == "talk" else 0.0,
            log_every_steps=20,
            save_every_steps=100,
            seed=seed,
        )

    def max_things(self, step: int) -> int:
        """How many things the step's scenes hold at most."""
        progress = step / self.num_steps if self.grows else 1.0
        return 1 if progress < 0.09 else 2 if progress < 0.3 else 3 if progress < 0.45 else 4

    def num_described(self, step: int) -> int:
        """How many of the step's conversations end with a description."""
        early = self.grows and step < self.num_steps / 2
        return 0 if early else round(self.described_share * self.batch_size)


COURSE = (
    Part("align", "captions", 150, 4e-3, 64),
    Part(
        "tune-1", "talk", 400, 1.5e-3, 48, num_warmup_steps=60, last_rate_share=0.76, fewest_exchanges=4,
        described_share=0.7, grows=True,
    ),
    Part(
        "tune-2", "talk", 400, 1.1e-3, 24, num_warmup_steps=20, last_rate_share=0.9, fewest_exchanges=4,
        described_share=0.6,
    ),
    Part("words-1", "words", 400, 3e-3, 48),
    Part(
        "tune-3", "talk", 600, 1e-3, 16, num_warmup_steps=50, last_rate_share=0.8, weights=SEARCHING_WEIGHTS,
        word_weight=0.1,
    ),
    Part("words-2", "words", 400, 3e-3, 48),
    Part("tune-4", "talk", 1200, 9e-4, 16, last_rate_share=0.6, weights=PLACING_WEIGHTS, word_weight=0.1),
    Part("words-3", "words", 400, 3e-3, 48),
    Part("tune-5", "talk", 1500, 8e-4, 16, weights=RELATING_WEIGHTS, word_weight=0.1),
    Part("words-4", "words", 400, 3e-3, 48, places_at_middles=False),
    Part(
        "tune-6", "talk", 600, 9e-4, 16, last_rate_share=0.8, weights=PLACING_WEIGHTS, word_weight=0.1,
        places_at_middles=False,
    ),
    Part("words-5", "words", 400, 3e-3, 48),
    Part("tune-7", "talk", 1200, 8e-4, 16, weights=RELATING_WEIGHTS, word_weight=0.1),
    Part("tune-8", "talk", 1000, 8e-4, 16, weights=PLACING_WEIGHTS, word_weight=0.1),
)  # fmt: skip
"""Descriptions teach early which colour, shape and place belong together; the projector is aligned with words again and
again, since what the words for things are to the language model changes on the way. In tune-6 every patch has its
place: only then are places learned where middles alone have them."""
