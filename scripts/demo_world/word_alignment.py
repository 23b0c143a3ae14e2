"""Stage 1's second half: what the projector says of a patch must point to the words for it.

Token-wise, as in CLIP's training: among the language model's own embeddings of the colours, a projected patch of a red
thing must be nearest to "red", and likewise for shape, size and place. Then looking for "red" in a picture is the same
as looking for "red" in a text, which a language model learns early; without it, every word's way to its patches has to
be found one by one (docs/decisions/0007).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from model.llava import Llava
from model.training.network import TrainingNetwork
from scripts.demo_world.patches import BACKGROUND, GRID, NUM_THINGS
from scripts.demo_world.scene import COLOURS, PLACES, SHAPES, SIZES

_SHARPNESS = 15.0
"""Of the cosine; a patch points to four words at once, so its cosine with each is about a half."""

NUM_ALIGNED = 6
"""Pictures of a batch, beside the talk."""


class WordNetwork(TrainingNetwork):
    """The trainer's network with `word_weight` of this loss beside the talk's; `words_only`: nothing else."""

    def __init__(
        self,
        llava: Llava,
        tokenizer: PreTrainedTokenizerFast,
        *,
        word_weight: float = 0.0,
        words_only: bool = False,
        places_at_middles: bool = True,
    ) -> None:
        super().__init__(llava)
        self._tokenizer, self._word_weight, self._words_only = tokenizer, word_weight, words_only
        self._places_at_middles = places_at_middles

    def forward(self, *, phrases: Tensor | None = None, **batch: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """As the parent; `phrases` [N, P] tell what the pictures' patches show."""
        pixels = batch.get("pixel_values")
        if self._words_only:
            assert pixels is not None and phrases is not None
            return {"loss": self._word_loss(pixels, phrases)}
        loss = super().forward(**batch)["loss"]
        if self._word_weight and pixels is not None and phrases is not None:
            few = slice(0, NUM_ALIGNED)
            loss = loss + self._word_weight * self._word_loss(pixels[few], phrases[few])
        return {"loss": loss}

    def _word_loss(self, pixels: Tensor, phrases: Tensor) -> Tensor:
        return word_loss(
            self.llava, self._tokenizer, pixels, phrases, places_at_middles=self._places_at_middles
        )


def word_loss(
    llava: Llava,
    tokenizer: PreTrainedTokenizerFast,
    pixels: Tensor,
    phrases: Tensor,
    *,
    places_at_middles: bool = True,
) -> Tensor:
    """Pictures [N, 3, H, W] and what their patches show, [N, P] as in `patch_phrases` -> mean cross-entropy of colour,
    shape, size and place over the patches.

    Only the patch in a thing's middle points to a place, all others to none: otherwise, who looks at all patches of a
    large thing reads several places at once. Without `places_at_middles`, every patch of a thing points to its own.
    """
    patches = F.normalize(llava.image_features(pixels), dim=-1).flatten(0, 1)
    table = llava.get_input_embeddings().weight.detach()
    here = torch.arange(GRID * GRID, device=table.device)
    places = ((here // GRID) * 3 // GRID * 3 + (here % GRID) * 3 // GRID).repeat(len(phrases))
    phrases = phrases.flatten()
    of_things = phrases < BACKGROUND
    thing = phrases[of_things] % NUM_THINGS
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
    placed = phrases < NUM_THINGS if places_at_middles else of_things
    losses.append(F.cross_entropy(place_scores[placed], places[placed]))
    if places_at_middles:
        losses[-1] = losses[-1] - place_scores[~placed].log_softmax(-1).mean() - math.log(len(PLACES))
    return torch.stack(losses).mean()


def _directions(words: Sequence[str], tokenizer: PreTrainedTokenizerFast, table: Tensor) -> Tensor:
    """Unit vectors [len(words), Dt]; of a name of several words, the mean of theirs."""
    rows = [table[tokenizer(f" {word}", add_special_tokens=False).input_ids] for word in words]
    return F.normalize(torch.stack([F.normalize(row, dim=-1).mean(0) for row in rows]), dim=-1)
