"""The shipped checkpoint's card: how it was made and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.demo_world.course import COURSE
from scripts.demo_world.examination import HELD_OUT_SHARE, SEEDS_FROM, Mark, table
from scripts.demo_world.scene import COLOURS, SHAPES

_CARD = """---
license: apache-2.0
language: en
pipeline_tag: image-text-to-text
tags: [llava, toy]
---

# A small LLaVA of the drawn world

It knows drawings of one to four coloured shapes and nothing else: {shapes}, in {colours}, small or large.
{size:.1f} MB in float32, {parameters:,} parameters. Trained from nothing in this repository; no other weights or data
went in.

## How it was made

`make demo-model`, which is `python -m scripts.train_demo_model` with its defaults (seed {seed}): the recipe of
"Visual Instruction Tuning" (arXiv 2304.08485) on pictures and sentences that `scripts/demo_world/` draws and words.

| step | what is trained | on | steps |
|---|---|---|--:|
| tokenizer | byte-pair encoding with byte fallback | the world's text | |
| CLIP | vision and text towers | pictures and captions, patches and phrases, by contrast | {clip_steps} x 128 |
| language model | a small LLaMA | scenes told in words, questions and answers | {text_steps} x 64 |
| stage 1 | the projector | captions, and the words for its patches | {align_steps} |
| stage 2 | projector and language model | conversation, description, reasoning | {tune_steps} |

The vision tower is frozen in both stages; its layer before the last gives the picture features.

## Measured

`python -m scripts.evaluate_demo`: greedy answers to questions about scenes whose seeds (from {seeds_from:,}) training
never saw; {held_out:.0%} of the questions are worded in ways that training never saw. Every kind is
asked equally often, of scenes uniform over one to four things (two to four where a question needs two). Answers are
compared by the fact that they state, and one that states anything else beside it, or speaks of another thing, is wrong;
a description scores the F-measure of the placed things that it names. "Majority answer" is what the most frequent right
answer would score if it were given to every question.

{table}
"""


def write_card(
    folder: Path, marks: Sequence[Mark], settings: Mapping[str, object], num_parameters: int
) -> None:
    """Write README.md into the checkpoint's folder."""
    card = _CARD.format(
        shapes=", ".join(SHAPES), colours=", ".join(COLOURS), table=table(marks), parameters=num_parameters,
        size=(folder / "model.safetensors").stat().st_size / 1e6, seeds_from=SEEDS_FROM, held_out=HELD_OUT_SHARE,
        align_steps=_steps("align"), tune_steps=_steps("finetune"),
        **{key: settings[key] for key in ("seed", "clip_steps", "text_steps")},
    )  # fmt: skip
    (folder / "README.md").write_text(card, encoding="utf-8")


def _steps(recipe: str) -> str:
    """Of the course's parts with this recipe: steps x samples a step."""
    parts = [part for part in COURSE if part.config(0).recipe == recipe]
    return ", then ".join(f"{part.num_steps} x {part.batch_size}" for part in parts)
