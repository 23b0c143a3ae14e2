"""Both projectors map patches one by one; the MLP is transformers' own, number for number."""

from __future__ import annotations

import pytest
import torch
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llava.configuration_llava import LlavaConfig
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

from model.projector import Projector, UnknownProjector


@pytest.mark.parametrize("projector_type", ["linear", "mlp2x_gelu"])
def test_patches_are_mapped_one_by_one(projector_type: str) -> None:
    projector = Projector(6, 10, projector_type)
    patches = torch.randn(2, 5, 6)
    together = projector(patches)
    assert together.shape == (2, 5, 10)
    assert torch.allclose(together[1, 3], projector(patches[1:2, 3:4])[0, 0], atol=1e-6)


def test_the_linear_one_is_a_single_matrix() -> None:
    assert set(Projector(6, 10, "linear").state_dict()) == {"linear_1.weight", "linear_1.bias"}


def test_the_mlp_has_transformers_names_and_numbers() -> None:
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(hidden_size=6, num_attention_heads=2),
        text_config=LlamaConfig(hidden_size=12, num_attention_heads=2),
    )
    theirs = LlavaMultiModalProjector(config)
    ours = Projector(6, 12, "mlp2x_gelu")
    ours.load_state_dict(theirs.state_dict())
    patches = torch.randn(2, 5, 6) * 3
    assert torch.allclose(ours(patches), theirs(patches), atol=1e-6)


def test_another_name_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(UnknownProjector, match=r"'qformer'.*linear, mlp2x_gelu"):
        Projector(6, 10, "qformer")
