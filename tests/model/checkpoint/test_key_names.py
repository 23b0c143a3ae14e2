"""Every name in memory has one key in each layout that can hold it, and comes back as itself."""

from __future__ import annotations

import pytest

from model.checkpoint.key_names import (
    LAYOUTS,
    LLAVA_HF,
    ORIGINAL_LINEAR,
    ORIGINAL_MLP,
    TRANSFORMERS_5,
    Layout,
    is_computed,
    layout_of,
    without_adapter_prefix,
)
from tests.model.tiny import tiny_llava

WHOLE = (LLAVA_HF, TRANSFORMERS_5, ORIGINAL_MLP, ORIGINAL_LINEAR)


def names(layout: Layout) -> list[str]:
    kind = "linear" if layout is ORIGINAL_LINEAR else "mlp2x_gelu"
    return [name for name in tiny_llava(projector_type=kind)[0].state_dict() if not is_computed(name)]


@pytest.mark.parametrize("layout", WHOLE, ids=lambda layout: layout.name)
def test_a_name_written_is_read_back_by_the_same_and_by_no_other_meaning(layout: Layout) -> None:
    keys = {layout.on_disk(name): name for name in names(layout)}
    assert None not in keys
    assert {key: layout.in_memory(key) for key in keys} == keys
    assert layout_of(keys) is layout
    for other in LAYOUTS:  # another layout may not know a key, but never takes it for something else
        assert all(other.in_memory(key) in (None, name) for key, name in keys.items())


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (
            "language_model.model.layers.0.mlp.up_proj.weight",
            "model.language_model.layers.0.mlp.up_proj.weight",
        ),
        ("language_model.lm_head.weight", "lm_head.weight"),
        ("vision_tower.vision_model.pre_layrnorm.bias", "model.vision_tower.pre_layrnorm.bias"),
        ("vision_tower.embeddings.class_embedding", "model.vision_tower.embeddings.class_embedding"),
        ("multi_modal_projector.linear_2.bias", "model.multi_modal_projector.linear_2.bias"),
    ],
)
def test_llava_hf_is_read_as_old_and_new_programs_write_it(key: str, name: str) -> None:
    assert LLAVA_HF.in_memory(key) == name


def test_keys_that_no_llava_has_belong_to_no_layout() -> None:
    assert layout_of(["transformer.h.0.attn.weight"]) is None
    assert layout_of(["model.mm_projector.4.weight"]) is None


def test_an_adapters_prefix_goes_with_one_model_where_it_is_there_twice() -> None:
    assert without_adapter_prefix(["base_model.model.model.mm_projector.0.weight"]) == {
        "base_model.model.model.mm_projector.0.weight": "model.mm_projector.0.weight"
    }
    assert without_adapter_prefix(["base_model.model.mm_projector.bias"]) == {
        "base_model.model.mm_projector.bias": "model.mm_projector.bias"
    }
