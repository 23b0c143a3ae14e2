"""CLIP for the drawn world: pictures and captions meet, by contrast, as in Radford et al. 2021 (arXiv 2103.00020).

Beside the contrast of whole pictures with whole captions there is a token-wise one: every patch is matched with the
phrase for what lies under it ("the middle of a small red circle", "part of a …", "background") among all phrases of the
world, as the scene's boxes tell, and with the words for where it lies. It reads the layer before the last, the one that
LLaVA takes its features from; the contrast of wholes alone learns colours and leaves shapes and places out (see
docs/decisions/0007).
"""

from __future__ import annotations

import random
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

from scripts.demo_world.language import caption
from scripts.demo_world.patches import (
    BACKGROUND,
    NUM_THINGS,
    PATCH_SIZE,
    PICTURE_SIZE,
    patch_phrases,
    patch_texts,
    place_texts,
)
from scripts.demo_world.picture import draw
from scripts.demo_world.scene import Scene, sample_scene

MEAN = (0.78, 0.76, 0.76)
STD = (0.28, 0.28, 0.28)
TRAINING_SEEDS_FROM = 1_000_000
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
        self.place_projection = nn.Linear(128, 128, bias=False)
        self.log_scale = nn.Parameter(torch.tensor([2.3, 2.3, 2.3]))
        self.tokenizer = tokenizer

    def pictures(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, 3, H, W] -> unit vectors: of whole pictures [N, 128], of what lies under their patches and of where the
        patches lie, each [N, P, 128]."""
        out = self.vision(pixel_values, output_hidden_states=True)
        whole = self.picture_projection(out.pooler_output)
        patches = out.hidden_states[-2][:, 1:]
        things, places = self.patch_projection(patches), self.place_projection(patches)
        return F.normalize(whole, dim=-1), F.normalize(things, dim=-1), F.normalize(places, dim=-1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Texts -> unit vectors [len, 128], read at each text's last token."""
        batch = self.tokenizer([f"{text}</s>" for text in texts], padding=True, return_tensors="pt")
        batch = batch.to(self.log_scale.device)
        hidden = self.text(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        last = batch.attention_mask.sum(-1) - 1
        return F.normalize(self.text_projection(hidden[torch.arange(len(hidden)), last]), dim=-1)

    def loss(self, pixel_values: Tensor, captions: Sequence[str], patch_phrases: Tensor) -> Tensor:
        """Contrast of wholes plus token-wise contrast; `patch_phrases` [N, P] indexes `patch_texts()`."""
        whole, things, places = self.pictures(pixel_values)
        captions, whole = captions[:_NUM_CAPTIONS], whole[:_NUM_CAPTIONS]
        texts = self.texts([*captions, *patch_texts(), *place_texts()])
        of_wholes, of_things, of_places = texts.split((len(captions), len(patch_texts()), len(place_texts())))
        whole_scale, thing_scale, place_scale = self.log_scale.clamp(max=4.6).exp()
        similarity = whole_scale * whole @ of_wholes.T
        right = torch.arange(len(captions), device=similarity.device)
        contrast = (F.cross_entropy(similarity, right) + F.cross_entropy(similarity.T, right)) / 2
        under = F.cross_entropy(
            (thing_scale * things @ of_things.T).flatten(0, 1), patch_phrases.flatten(), reduction="none"
        )
        weight = torch.where(patch_phrases.flatten() == BACKGROUND, 0.2, 1.0)
        here = torch.arange(places.shape[1], device=places.device).repeat(len(places))
        where = F.cross_entropy((place_scale * places @ of_places.T).flatten(0, 1), here, reduction="none")
        return 0.2 * contrast + (weight * (under + 0.3 * where)).sum() / weight.sum()


def pictures_of(scenes: Sequence[Scene]) -> Tensor:
    """Normalised pixel_values [N, 3, H, W] of the scenes' pictures."""
    pixels = np.stack([np.asarray(draw(scene, PICTURE_SIZE)) for scene in scenes])
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def clip_loss(model: DrawnClip, step: int, batch_size: int) -> Tensor:
    """The loss of the step's own scenes."""
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
    whole, things, places = model.pictures(pictures_of(scenes).to(device))
    texts = model.texts(patch_texts())
    found = (things @ texts.T).argmax(-1).cpu().numpy()
    truth = np.stack([patch_phrases(scene) for scene in scenes])
    at_middle = truth < NUM_THINGS
    seen, real = found[at_middle], truth[at_middle]
    is_thing = seen < BACKGROUND
    where = (places @ model.texts(place_texts()).T).argmax(-1).cpu().numpy()
    here = np.broadcast_to(np.arange(where.shape[1]), where.shape)
    seen_kind = seen % NUM_THINGS
    captions = model.texts([caption(scene) for scene in scenes])
    return {
        "middle": float((seen < NUM_THINGS).mean()),
        "size": float((is_thing & (seen_kind // 48 == real // 48)).mean()),
        "colour": float((is_thing & (seen_kind // 6 % 8 == real // 6 % 8)).mean()),
        "shape": float((is_thing & (seen_kind % 6 == real % 6)).mean()),
        "place": float((where == here)[at_middle].mean()),
        "false middles a picture": float(((found < NUM_THINGS) & ~at_middle).sum() / num_scenes),
        "caption in 256": float(
            ((whole @ captions.T).argmax(-1).cpu() == torch.arange(num_scenes)).float().mean()
        ),
    }
