"""One device or several: whole layers stay together, and what fits nowhere is told before it is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers.models.llava.configuration_llava import LlavaConfig

from model import checkpoint
from model.checkpoint import DeviceError
from model.checkpoint.assembly import empty_model
from model.checkpoint.placement import Placement, shared_out
from model.checkpoint.room import num_bytes
from model.llava import Llava
from tests.model.tiny import tiny_llava, write_tiny_checkpoint


@pytest.fixture
def empty() -> Llava:
    values = tiny_llava()[0].config.to_dict()
    return empty_model(Path("config.json"), LlavaConfig.from_dict(values))


def test_a_name_goes_where_its_longest_beginning_goes() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    placement = Placement({"model.language_model.layers.0": gpu, "model": cpu, "lm_head": gpu})
    assert placement.device_of("model.language_model.layers.0.mlp.up_proj.weight") == gpu
    assert placement.device_of("model.language_model.layers.01.mlp.up_proj.weight") == cpu
    assert placement.device_of("lm_head.weight") == gpu


def test_layers_are_shared_out_whole(empty: Llava) -> None:
    whole = num_bytes(empty, torch.float32, "none")
    placement = shared_out(empty, torch.float32, {0: int(whole * 0.7), 1: whole})
    devices = {name: placement.device_of(name) for name, _ in empty.named_parameters()}
    assert {device.index for device in devices.values()} == {0, 1}
    for layer in range(2):
        inside = {device for name, device in devices.items() if f"language_model.layers.{layer}." in name}
        assert len(inside) == 1


def test_what_fits_on_no_device_is_told(empty: Llava) -> None:
    with pytest.raises(
        DeviceError, match=r"too small for this model as torch\.float32; choose --quantize 4bit"
    ):
        shared_out(empty, torch.float32, {0: 1000, "cpu": 1000})


def test_without_a_gpu_auto_is_the_cpu(tmp_path: Path) -> None:
    loaded = checkpoint.load(write_tiny_checkpoint(tmp_path / "tiny"), device="cpu", device_map="auto")
    assert {parameter.device.type for parameter in loaded.model.parameters()} == {
        "cpu"
    } or torch.cuda.is_available()


def test_the_network_of_a_released_checkpoint_is_built_from_its_sparse_config() -> None:
    """llava-hf's configs leave out what transformers' defaults say; nothing of its 7 billion weights is allocated."""
    text = {"model_type": "llama", "vocab_size": 32064, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5}
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 1024, "image_size": 336, "intermediate_size": 4096,
        "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768,
    }  # fmt: skip
    values = {"model_type": "llava", "text_config": text, "vision_config": vision, "image_token_index": 32000}
    model = empty_model(Path("config.json"), LlavaConfig.from_dict(values | {"projector_type": "mlp2x_gelu"}))
    assert model.num_patches == 576
    assert num_bytes(model, torch.float16, "none") == pytest.approx(14.1e9, rel=0.01)
    assert num_bytes(model, torch.float16, "4bit") == pytest.approx(4.1e9, rel=0.05)
    assert model.lm_head.weight.shape == (32064, 4096)
