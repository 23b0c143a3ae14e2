"""What is trained, as one module: a batch in, the loss over the trained tokens out.

Three things make it cheaper than the model's own forward: a picture's tower features may come ready-made; scores over
the vocabulary, and the last layer's MLP before them, are computed only where a token is learned, which is a part of a
conversation; and what all rows of a batch begin with, as a rule the system text, is read once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.llava import ImageCountError, Llava
from model.training.dataset import IGNORED
from model.training.features import tower_features

WORTH_SHARING = 0.1
"""Of a batch's tokens that are saved; for fewer, a second pass through the layers, and attention with a mask, cost as
much."""


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
        targets = labels[:, 1:]
        learned = targets != IGNORED
        positions = (
            {} if position_ids is None else {"position_ids": position_ids, "attention_mask": attention_mask}
        )
        hidden = self._hidden(input_ids, embeds, F.pad(learned, (0, 1)), positions)
        scores = self.llava.lm_head(hidden[:, :-1][learned]).float()
        total = F.cross_entropy(scores, targets[learned], reduction="sum")
        count = learned.sum() if num_items_in_batch is None else num_items_in_batch
        return {"loss": total / (count if isinstance(count, int) else count.clamp(min=1))}

    def _hidden(
        self, input_ids: Tensor, embeds: Tensor, wanted: Tensor, positions: Mapping[str, Tensor]
    ) -> Tensor:
        """The language model's last states [B, T, Dt], right where they are `wanted` [B, T]."""
        language: Any = self.llava.model.language_model
        if (
            language.is_activation_checkpointing and self.training
        ):  # layers are run twice then, the second time alone
            return language(inputs_embeds=embeds, use_cache=False, **positions).last_hidden_state
        last = language.layers[-1].mlp
        # No token looks ahead, so none sees the padding on its right: no mask is needed. But without one, positions
        # that jump would be taken for several texts.
        num_shared = 0 if positions else self._num_shared(input_ids)
        if num_shared * (len(input_ids) - 1) < WORTH_SHARING * input_ids.numel():
            with _only_where(last, wanted):
                return language(inputs_embeds=embeds, use_cache=False, **positions).last_hidden_state
        with _only_where(last, wanted[:, :num_shared].any(0, keepdim=True)):
            begin = language(inputs_embeds=embeds[:1, :num_shared], use_cache=True)
        begin.past_key_values.batch_repeat_interleave(len(input_ids))
        with _only_where(last, wanted[:, num_shared:]):
            rest = language(inputs_embeds=embeds[:, num_shared:], past_key_values=begin.past_key_values)
        shared = begin.last_hidden_state.expand(len(input_ids), -1, -1)
        return torch.cat([shared, rest.last_hidden_state], dim=1)

    def _num_shared(self, input_ids: Tensor) -> int:
        """How many tokens all rows begin with alike, pictures left out; at least one is left over."""
        same = (input_ids == input_ids[:1]).all(0) & (input_ids[0] != self.llava.config.image_token_id)
        return int(same[:-1].long().cumprod(0).sum())

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


@contextmanager
def _only_where(layer: nn.Module, wanted: Tensor) -> Iterator[None]:
    """Within, `layer` computes only the rows of its [B, T, D] that are `wanted` [B, T]; the others are nought."""

    def take(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (arguments[0][wanted],)

    def put_back(module: nn.Module, arguments: Any, rows: Tensor) -> Tensor:
        return rows.new_zeros((*wanted.shape, rows.shape[-1])).masked_scatter(wanted.unsqueeze(-1), rows)

    hooks = (layer.register_forward_pre_hook(take), layer.register_forward_hook(put_back))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
