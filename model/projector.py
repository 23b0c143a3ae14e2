"""From what the picture tower sees to what the language model reads.

The paper (Liu et al. 2023, "Visual Instruction Tuning", section 4.1) uses one linear map W; LLaVA 1.5 (Liu
et al. 2023, "Improved Baselines with Visual Instruction Tuning", section 3.2) uses two with a GELU between.
Which of them a checkpoint holds is said by `projector_type` in its config. The layers are called `linear_1`
and `linear_2` as in transformers, so that plain transformers reads a checkpoint with the MLP.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

ProjectorType = Literal["linear", "mlp2x_gelu"]
PROJECTOR_TYPES: tuple[str, ...] = get_args(ProjectorType)


class UnknownProjector(ValueError):
    """The config names a projector that is neither "linear" nor "mlp2x_gelu"."""


class Projector(nn.Module):
    """Patch features [B, P, Dv] -> [B, P, Dt], each patch by itself."""

    def __init__(self, vision_width: int, text_width: int, projector_type: str, *, bias: bool = True) -> None:
        """Dv, Dt and one of PROJECTOR_TYPES; anything else raises UnknownProjector."""
        super().__init__()
        if projector_type not in PROJECTOR_TYPES:
            known = ", ".join(PROJECTOR_TYPES)
            raise UnknownProjector(f"projector_type is {projector_type!r}; set it to one of: {known}.")
        self.projector_type = projector_type
        self.linear_1 = nn.Linear(vision_width, text_width, bias=bias)
        self.linear_2 = (
            nn.Linear(text_width, text_width, bias=bias) if projector_type == "mlp2x_gelu" else None
        )

    def forward(self, patch_features: Tensor) -> Tensor:
        """[B, P, Dv] -> [B, P, Dt]. The GELU is the exact one, as in transformers' own projector."""
        projected: Tensor = self.linear_1(patch_features)
        if self.linear_2 is None:
            return projected
        activated = torch.nn.functional.gelu(projected)
        return self.linear_2(activated)
