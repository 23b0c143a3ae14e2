"""CLIP for the drawn world: pictures and captions meet, by contrast, as in Radford et al. 2021 (arXiv 2103.00020).

Beside the contrast of whole pictures with whole captions there is a token-wise one: every patch is matched with the
phrase for what lies under it ("the middle of a small red circle", "part of a …", "background") among all phrases of the
world, as the scene's boxes tell. It reads the layer before the last, the one that LLaVA takes its features from;
the contrast of wholes alone learns colours and leaves shapes and places out (see docs/decisions/).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedTokenizerFast,
)

from scripts.demo_world.language import article, caption
from scripts.demo_world.picture import draw
from scripts.demo_world.scene import COLOURS, SHAPES, SIZES, Scene, Thing, sample_scene

PICTURE_SIZE = 60
PATCH_SIZE = 10
GRID = PICTURE_SIZE // PATCH_SIZE
MEAN = (0.78, 0.76, 0.76)
STD = (0.28, 0.28, 0.28)
TRAINING_SEEDS_FROM = 1_000_000
_PHRASES = [f"{s} {c} {k}" for s in SIZES for c in COLOURS for k in SHAPES]
_NUM = len(_PHRASES)
_BACKGROUND = 2 * _NUM
_NUM_CAPTIONS = (
    32  # of a batch take part in the contrast of wholes: captions are long, and the other term teaches more
)


def vision_config() -> CLIPVisionConfig:
    """Five layers, of which LLaVA uses the first four."""
    return CLIPVisionConfig(
        hidden_size=128, intermediate_size=512, num_hidden_layers=5, num_attention_heads=4,
        image_size=PICTURE_SIZE, patch_size=PATCH_SIZE, projection_dim=128,
    )  # fmt: skip


class DrawnClip(nn.Module):
    """A vision and a text tower with a shared space of 128 dimensions."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.vision = CLIPVisionModel(vision_config())
        self.text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2,
                num_attention_heads=4, max_position_embeddings=80, bos_token_id=1, eos_token_id=2, pad_token_id=4,
            )
        )  # fmt: skip
        self.picture_projection = nn.Linear(128, 128, bias=False)
        self.patch_projection = nn.Linear(128, 128, bias=False)
        self.text_projection = nn.Linear(128, 128, bias=False)
        self.log_scale = nn.Parameter(torch.tensor([2.3, 2.3]))
        self.tokenizer = tokenizer

    def pictures(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """[N, 3, H, W] -> unit vectors of whole pictures [N, 128] and of their patches [N, P, 128]."""
        out = self.vision(pixel_values, output_hidden_states=True)
        whole = self.picture_projection(out.pooler_output)
        patches = self.patch_projection(out.hidden_states[-2][:, 1:])
        return F.normalize(whole, dim=-1), F.normalize(patches, dim=-1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Texts -> unit vectors [len, 128], read at each text's last token."""
        batch = self.tokenizer([f"{text}</s>" for text in texts], padding=True, return_tensors="pt")
        batch = batch.to(self.log_scale.device)
        hidden = self.text(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        last = batch.attention_mask.sum(-1) - 1
        return F.normalize(self.text_projection(hidden[torch.arange(len(hidden)), last]), dim=-1)

    def loss(self, pixel_values: Tensor, captions: Sequence[str], patch_phrases: Tensor) -> Tensor:
        """Contrast of wholes plus token-wise contrast; `patch_phrases` [N, P] indexes `patch_texts()`."""
        whole, patches = self.pictures(pixel_values)
        captions, whole = captions[:_NUM_CAPTIONS], whole[:_NUM_CAPTIONS]
        texts = self.texts([*captions, *patch_texts()])
        whole_scale, patch_scale = self.log_scale.clamp(max=4.6).exp()
        similarity = whole_scale * whole @ texts[: len(captions)].T
        right = torch.arange(len(captions), device=similarity.device)
        contrast = (F.cross_entropy(similarity, right) + F.cross_entropy(similarity.T, right)) / 2
        scores = patch_scale * patches @ texts[len(captions) :].T
        token_wise = F.cross_entropy(scores.flatten(0, 1), patch_phrases.flatten(), reduction="none")
        weight = torch.where(patch_phrases.flatten() == _BACKGROUND, 0.2, 1.0)
        return 0.2 * contrast + (weight * token_wise).sum() / weight.sum()


@functools.cache
def patch_texts() -> tuple[str, ...]:
    """What can lie under a patch, in words: 96 middles, 96 parts, and the background."""
    middles = [f"the middle of {article(phrase)}" for phrase in _PHRASES]
    parts = [f"part of {article(phrase)}" for phrase in _PHRASES]
    return (*middles, *parts, "background")


def patch_phrases(scene: Scene) -> np.ndarray:
    """For each patch, row by row, the index in `patch_texts()` of what lies under it; int64 [P]."""
    phrases = np.full((GRID, GRID), _BACKGROUND)
    centres = (np.arange(GRID) + 0.5) / GRID
    across, down = np.meshgrid(centres, centres)
    for thing in scene.things:
        inside = (across - thing.x) ** 2 + (down - thing.y) ** 2 < (0.475 * thing.diameter) ** 2
        phrases[inside] = _NUM + _phrase_index(thing)
    for thing in scene.things:
        phrases[int(thing.y * GRID), int(thing.x * GRID)] = _phrase_index(thing)
    return phrases.ravel()


def _phrase_index(thing: Thing) -> int:
    return _PHRASES.index(f"{thing.size} {thing.colour} {thing.shape}")


def pictures_of(scenes: Sequence[Scene]) -> Tensor:
    """Normalised pixel_values [N, 3, H, W] of the scenes' pictures."""
    pixels = np.stack([np.asarray(draw(scene, PICTURE_SIZE)) for scene in scenes])
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def clip_loss(model: DrawnClip, step: int, batch_size: int) -> Tensor:
    """The loss of the step's own scenes."""
    import random

    first = TRAINING_SEEDS_FROM + step * batch_size
    scenes = [sample_scene(seed) for seed in range(first, first + batch_size)]
    device = model.log_scale.device
    phrases = torch.from_numpy(np.stack([patch_phrases(scene) for scene in scenes]))
    captions = [caption(scene, random.Random(scene.seed)) for scene in scenes]
    return model.loss(pictures_of(scenes).to(device), captions, phrases.to(device))


def measure_clip(model: DrawnClip, num_scenes: int = 256) -> dict[str, float]:
    """On fresh scenes: how often the phrase at each thing's middle is right, and in which respect."""
    scenes = [sample_scene(seed) for seed in range(500_000, 500_000 + num_scenes)]
    device = model.log_scale.device
    whole, patches = model.pictures(pictures_of(scenes).to(device))
    texts = model.texts(patch_texts())
    found = (patches @ texts.T).argmax(-1).cpu().numpy()
    truth = np.stack([patch_phrases(scene) for scene in scenes])
    at_middle = truth < _NUM
    seen, real = found[at_middle], truth[at_middle]
    is_thing = seen < _BACKGROUND
    seen_kind = seen % _NUM
    captions = model.texts([caption(scene) for scene in scenes])
    return {
        "middle": float((seen < _NUM).mean()),
        "size": float((is_thing & (seen_kind // 48 == real // 48)).mean()),
        "colour": float((is_thing & (seen_kind // 6 % 8 == real // 6 % 8)).mean()),
        "shape": float((is_thing & (seen_kind % 6 == real % 6)).mean()),
        "false middles a picture": float(((found < _NUM) & ~at_middle).sum() / num_scenes),
        "caption in 256": float(
            ((whole @ captions.T).argmax(-1).cpu() == torch.arange(num_scenes)).float().mean()
        ),
    }
