"""8 and 4 bits, on a CPU too: smaller, nearly the same answers, projector and head as they were, no code fetched."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from model import checkpoint
from model.checkpoint import DeviceError, LoadedModel
from model.checkpoint.quantisation import choose_quantize
from model.checkpoint.room import num_bytes

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "model" / "demo"


@pytest.fixture(scope="module")
def whole() -> LoadedModel:
    return checkpoint.load(DEMO, device="cpu")


@torch.inference_mode()
def scores(loaded: LoadedModel) -> torch.Tensor:
    """[T, V] of a prompt with one picture."""
    torch.manual_seed(0)
    ids = torch.tensor([[1, *[loaded.image_token_id] * loaded.num_patches, 30, 40, 50, 60]])
    pixels = torch.randn(1, 3, loaded.pixels.size, loaded.pixels.size)
    return loaded.model(input_ids=ids, pixel_values=pixels).logits[0, -4:].float()


def held_bytes(model: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


@pytest.mark.parametrize(("quantize", "layer"), [("8bit", "Linear8bitLt"), ("4bit", "Linear4bit")])
def test_fewer_bits_take_less_room_and_answer_nearly_the_same(
    whole: LoadedModel, quantize: str, layer: str
) -> None:
    small = checkpoint.load(DEMO, device="cpu", quantize=quantize)
    assert small.quantize == quantize
    likeness = torch.nn.functional.cosine_similarity(scores(whole), scores(small), dim=-1)
    assert likeness.min() > 0.9
    # Of a model this small the words' table, never quantised, is a large part.
    assert held_bytes(small.model) < 0.4 * held_bytes(whole.model)
    core = small.model.model
    for module in (core.language_model.layers[0].mlp.up_proj, core.vision_tower.encoder.layers[0].mlp.fc1):
        assert type(module).__name__ == layer
    for module, same in (
        (core.multi_modal_projector.linear_1, whole.model.model.multi_modal_projector.linear_1),
        (small.model.lm_head, whole.model.lm_head),
    ):
        assert type(module) is nn.Linear
        assert torch.equal(module.weight, same.weight)


def test_four_bits_are_nf4_with_double_quantisation() -> None:
    small = checkpoint.load(DEMO, device="cpu", quantize="4bit", dtype="bfloat16")
    state = small.model.model.language_model.layers[0].mlp.up_proj.weight.quant_state
    assert (state.quant_type, state.nested) == ("nf4", True)
    assert small.model.is_loaded_in_4bit
    assert small.model.lm_head.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("quantize", ["none", "8bit", "4bit"])
def test_the_room_that_is_asked_for_is_the_room_that_is_taken(quantize: str) -> None:
    loaded = checkpoint.load(DEMO, device="cpu", quantize=quantize)
    empty = checkpoint.load(DEMO, device="cpu").model
    assert num_bytes(empty, torch.float32, quantize) == pytest.approx(held_bytes(loaded.model), rel=0.12)


def test_an_unknown_quantisation_is_named() -> None:
    with pytest.raises(DeviceError, match=r"'2bit'.*none, 8bit, 4bit"):
        checkpoint.load(DEMO, quantize="2bit")


def test_a_device_that_cannot_quantise_is_named() -> None:
    with pytest.raises(DeviceError, match=r"mps.*--quantize none"):
        choose_quantize("4bit", torch.device("mps"))


def test_the_library_never_gets_to_fetch_code(tmp_path: Path) -> None:
    """On CPUs with AVX512-BF16 bitsandbytes asks a package called kernels for code from the Hub, when imported."""
    (tmp_path / "kernels.py").write_text(
        "def get_kernel(*args, **options):\n    raise SystemExit('asked for code')"
    )
    code = (
        "from model import checkpoint; import sys; sys.path.insert(0, sys.argv[1]); "
        "checkpoint.load(sys.argv[2], quantize='4bit', device='cpu'); import kernels; print(kernels.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(DEMO)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.stdout.strip() == str(tmp_path / "kernels.py"), done.stderr


def test_the_log_is_not_filled_by_every_layer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    scores(checkpoint.load(DEMO, device="cpu", quantize="8bit"))
    assert "cast" not in caplog.text
