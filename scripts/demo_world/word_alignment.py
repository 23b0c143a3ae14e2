"""Stage 1's second half: what the projector says of a patch must point to the words for it.

Token-wise, as in CLIP's training: among the language model's own embeddings of the colours, a projected patch of a red
thing must be nearest to "red", and likewise for shape, size and place. Then looking for "red" in a picture is the same
as looking for "red" in a text, which a language model learns early; without it, every word's way to its patches has to
be found one by one (docs/decisions/0007).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from model.llava import Llava
from scripts.demo_world.clip_stage import pictures_of
from scripts.demo_world.patches import BACKGROUND, GRID, NUM_THINGS, patch_phrases
from scripts.demo_world.scene import COLOURS, PLACES, SHAPES, SIZES, Scene

_SHARPNESS = (
    15.0  # of the cosine; a patch points to four words at once, so its cosine with each is about a half
)


def word_loss(
    llava: Llava,
    tokenizer: PreTrainedTokenizerFast,
    scenes: Sequence[Scene],
    *,
    places_at_middles: bool = False,
) -> Tensor:
    """Mean cross-entropy of colour, shape, size and place over the patches of the scenes' pictures.

    `places_at_middles`: only the patch in a thing's middle points to a place, all others to none. Otherwise every patch
    points to its own, and who looks at all patches of a large thing reads several places at once.
    """
    patches = F.normalize(llava.image_features(pictures_of(scenes)), dim=-1).flatten(0, 1)
    table = llava.get_input_embeddings().weight.detach()
    phrases = torch.from_numpy(np.concatenate([patch_phrases(scene) for scene in scenes])).to(table.device)
    of_things = phrases < BACKGROUND
    thing = phrases[of_things] % NUM_THINGS
    here = torch.arange(GRID * GRID, device=table.device)
    places = ((here // GRID) * 3 // GRID * 3 + (here % GRID) * 3 // GRID).repeat(len(scenes))
    asked: tuple[tuple[Sequence[str], Tensor, Tensor], ...] = (
        (COLOURS, patches[of_things], thing // len(SHAPES) % len(COLOURS)),
        (SHAPES, patches[of_things], thing % len(SHAPES)),
        (SIZES, patches[of_things], thing // (len(SHAPES) * len(COLOURS))),
    )
    losses = [
        F.cross_entropy(_SHARPNESS * pointing @ _directions(words, tokenizer, table).T, right)
        for words, pointing, right in asked
    ]
    place_scores = _SHARPNESS * patches @ _directions(PLACES, tokenizer, table).T
    if places_at_middles:
        middles = phrases < NUM_THINGS
        nowhere = -place_scores[~middles].log_softmax(-1).mean() - math.log(len(PLACES))
        losses.append(F.cross_entropy(place_scores[middles], places[middles]) + nowhere)
    else:
        losses.append(F.cross_entropy(place_scores, places))
    return torch.stack(losses).mean()


def _directions(words: Sequence[str], tokenizer: PreTrainedTokenizerFast, table: Tensor) -> Tensor:
    """Unit vectors [len(words), Dt]; of a name of several words, the mean of theirs."""
    rows = [table[tokenizer(f" {word}", add_special_tokens=False).input_ids] for word in words]
    return F.normalize(torch.stack([F.normalize(row, dim=-1).mean(0) for row in rows]), dim=-1)
