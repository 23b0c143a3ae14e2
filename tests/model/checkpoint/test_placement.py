"""One device or several: whole layers stay together, and what fits nowhere is told before it is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers.models.llava.configuration_llava import LlavaConfig

from model import checkpoint
from model.checkpoint import NoRoom, room
from model.checkpoint.assembly import empty_model
from model.checkpoint.config import read_config, transformers_config
from model.checkpoint.key_names import LLAVA_HF, layout_of
from model.checkpoint.placement import Placement, shared_out
from model.checkpoint.room import num_bytes
from model.llava import Llava
from scripts.checkpoint_bench.held_bytes import held_bytes
from scripts.checkpoint_bench.random_checkpoint import DEMO
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


def devices_of(model: Llava, placement: Placement) -> dict[str, int | None]:
    return {name: placement.device_of(name).index for name, _ in model.named_parameters()}


def test_layers_are_shared_out_whole(empty: Llava) -> None:
    whole = num_bytes(empty, torch.float32, "none")
    devices = devices_of(empty, shared_out(empty, torch.float32, "none", {0: int(whole * 0.7), 1: whole}))
    assert set(devices.values()) == {0, 1}
    for layer in range(2):
        inside = {device for name, device in devices.items() if f"language_model.layers.{layer}." in name}
        assert len(inside) == 1


@pytest.mark.parametrize("memory", [{0: 20_000}, {0: 20_000, 1: 20_000}, {0: 20_000, 1: 0, 2: 20_000}])
def test_what_the_gpus_do_not_hold_is_told_with_the_numbers_and_goes_to_no_cpu(
    empty: Llava, memory: dict[int, int]
) -> None:
    said = (
        r"take 0\.0 GB as float32, but GPU 0 has 0\.0 GB.* free, a tenth of it for answering, and layers stay"
    )
    with pytest.raises(NoRoom, match=said):
        shared_out(empty, torch.float32, "none", memory)


def test_several_gpus_are_asked_for_as_much_as_fewer_bits_take(seven_billion: Llava) -> None:
    needed = num_bytes(seven_billion, torch.float16, "4bit")
    devices = devices_of(
        seven_billion, shared_out(seven_billion, torch.float16, "4bit", {0: 2_700_000_000, 1: 2_700_000_000})
    )
    assert set(devices.values()) == {0, 1}
    for device in (0, 1):
        on_it = [name for name, where in devices.items() if where == device]
        size = sum(
            parameter.numel() * (0.53 if is_in_bits(name) else 2)
            for name, parameter in seven_billion.named_parameters()
            if name in on_it
        )
        assert 0.3 * needed < size < 2_700_000_000
    for quantize in ("8bit", "none"):
        with pytest.raises(NoRoom, match=r"GPU 0 has 2\.7 GB and GPU 1 has 2\.7 GB free"):
            shared_out(seven_billion, torch.float16, quantize, {0: 2_700_000_000, 1: 2_700_000_000})


def is_in_bits(name: str) -> bool:
    return "layers" in name and "norm" not in name and name.endswith(".weight")


def test_without_a_gpu_auto_is_the_device_that_was_asked_for_and_its_memory_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny")
    loaded = checkpoint.load(folder, device="cpu", device_map="auto")
    assert {parameter.device.type for parameter in loaded.model.parameters()} == {"cpu"}
    monkeypatch.setattr(room, "free_bytes", lambda device: 1000)
    with pytest.raises(NoRoom, match=r"tiny takes 0\.\d GB as float32, but cpu has"):
        checkpoint.load(folder, device="cpu", device_map="auto")


@pytest.mark.parametrize("quantize", ["none", "8bit", "4bit"])
def test_the_size_that_was_foreseen_is_the_size_it_takes_scales_included(
    tmp_path: Path, quantize: str
) -> None:
    model = checkpoint.load(DEMO, device="cpu", quantize=quantize).model
    path = DEMO / "config.json"
    foreseen = num_bytes(
        empty_model(path, transformers_config(path, read_config(DEMO))), torch.float32, quantize
    )
    assert held_bytes(model) == pytest.approx(foreseen, rel=0.002)


def released(width: int, inner: int, num_layers: int, num_heads: int) -> Llava:
    """llava-hf's configs leave out what transformers' defaults say; nothing of the weights is allocated."""
    text = {"model_type": "llama", "vocab_size": 32064, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5}
    if width != 4096:  # transformers' defaults are those of LLaMA 7B, and its config leaves these out
        text |= {
            "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": num_layers,
            "num_attention_heads": num_heads, "num_key_value_heads": num_heads,
        }  # fmt: skip
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 1024, "image_size": 336, "intermediate_size": 4096,
        "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768,
    }  # fmt: skip
    values = {"model_type": "llava", "text_config": text, "vision_config": vision, "image_token_index": 32000}
    return empty_model(Path("config.json"), LlavaConfig.from_dict(values | {"projector_type": "mlp2x_gelu"}))


@pytest.fixture(scope="module")
def seven_billion() -> Llava:
    return released(4096, 11008, 32, 32)


def test_the_network_of_a_released_checkpoint_is_built_from_its_sparse_config(seven_billion: Llava) -> None:
    model = seven_billion
    assert model.num_patches == 576
    assert num_bytes(model, torch.float16, "none") == pytest.approx(14.1e9, rel=0.01)
    assert num_bytes(model, torch.float16, "4bit") == pytest.approx(4.1e9, rel=0.05)
    assert model.lm_head.weight.shape == (32064, 4096)


def test_the_larger_of_them_too_with_a_key_for_each_of_its_tensors() -> None:
    """The layout of llava-hf/llava-1.5-13b-hf."""
    model = released(5120, 13824, 40, 40)
    shapes = {LLAVA_HF.on_disk(name): tuple(each.shape) for name, each in model.named_parameters()}
    assert len(shapes) == (40 * 9 + 3) + 4 + (24 * 16 + 7)  # language model, projector, tower
    assert shapes["language_model.model.layers.39.mlp.up_proj.weight"] == (13824, 5120)
    assert shapes["language_model.lm_head.weight"] == (32064, 5120)
    assert shapes["multi_modal_projector.linear_1.weight"] == (5120, 1024)
    assert shapes["vision_tower.vision_model.encoder.layers.23.mlp.fc1.weight"] == (4096, 1024)
    assert num_bytes(model, torch.float16, "none") == pytest.approx(26.7e9, rel=0.01)
    assert layout_of(filter(None, shapes)) is LLAVA_HF
