"""What is trained, as one module: a batch in, the loss over the trained tokens out.

Two things make it cheaper than the model's own forward: a picture's tower features may come ready-made, and scores over
the vocabulary are computed only where a token is learned, which is a small part of a conversation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.llava import ImageCountError, Llava
from model.training.dataset import IGNORED
from model.training.features import tower_features


class TrainingNetwork(nn.Module):
    """Around a Llava, which may carry adapters."""

    def __init__(self, llava: Llava) -> None:
        super().__init__()
        self.llava = llava

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        tower_features: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> dict[str, Tensor]:
        """All [B, T], padded on the right; pixel_values [N, 3, H, W] or tower_features [N, P, Dv] -> `loss`:
        cross-entropy, the mean over the batch's learned tokens, or their sum over `num_items_in_batch`. Raises
        ImageCountError."""
        embeds = self.embedded(input_ids, pixel_values, tower_features)
        # No token looks ahead, so none sees the padding on its right: without a mask, attention computes half as much.
        # Positions that jump would then be taken for several texts in a row.
        mask = attention_mask if position_ids is not None else None
        hidden = self.llava.model.language_model(
            inputs_embeds=embeds, attention_mask=mask, position_ids=position_ids, use_cache=False
        ).last_hidden_state
        targets = labels[:, 1:]
        learned = targets != IGNORED
        scores = self.llava.lm_head(hidden[:, :-1][learned]).float()
        total = F.cross_entropy(scores, targets[learned], reduction="sum")
        count = learned.sum() if num_items_in_batch is None else num_items_in_batch
        return {"loss": total / (count if isinstance(count, int) else count.clamp(min=1))}

    def embedded(self, input_ids: Tensor, pixels: Tensor | None, features: Tensor | None) -> Tensor:
        llava = self.llava
        embeds = llava.get_input_embeddings()(input_ids)
        places = input_ids == llava.config.image_token_id
        if pixels is not None:
            weight = next(llava.model.vision_tower.parameters())
            with torch.no_grad():
                features = tower_features(llava, pixels.to(weight.dtype))
        if features is None:
            # Several processes average gradients of everything that is trained, so the projector must have one.
            width = llava.model.multi_modal_projector.linear_1.in_features
            nothing = llava.model.multi_modal_projector(embeds.new_zeros(1, 1, width))
            return embeds + 0.0 * nothing.sum().to(embeds.dtype)
        projector = llava.model.multi_modal_projector
        projected = projector(features.to(projector.linear_1.weight.dtype)).to(embeds.dtype)
        if int(places.sum()) != projected.shape[0] * projected.shape[1]:
            raise ImageCountError(
                f"The batch holds {int(places.sum())} image tokens but its pictures give "
                f"{projected.shape[0] * projected.shape[1]} features; give one picture for every place."
            )
        return embeds.masked_scatter(places.unsqueeze(-1), projected)
