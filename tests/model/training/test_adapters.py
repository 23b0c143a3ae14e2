"""What each recipe trains, and that what comes out is what was trained: in the engine, and merged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from model import checkpoint
from model.checkpoint import LoadedModel
from model.engine.adapter import read_adapter
from model.engine.errors import AdapterError
from model.engine.network import Network
from model.training.adapters import prepare, trained_state, write_result
from model.training.config import TrainingConfig
from model.training.network import TrainingNetwork
from tests.model.training.small_run import new_run, small_config, train_here

TOWER, PROJECTOR, LANGUAGE = "vision_tower", "multi_modal_projector", "language_model"


def part_of(name: str) -> str:
    return next((part for part in (TOWER, PROJECTOR, LANGUAGE) if f".{part}." in name), "head")


def loaded(base_model: Path, config: TrainingConfig) -> LoadedModel:
    return checkpoint.load(
        str(base_model), quantize="4bit" if config.recipe == "qlora" else "none", device="cpu"
    )


@pytest.mark.parametrize(
    ("recipe", "parts"),
    [
        ("align", {PROJECTOR}), ("finetune", {PROJECTOR, LANGUAGE, "head"}), ("lora", {PROJECTOR, LANGUAGE}),
        ("qlora", {PROJECTOR, LANGUAGE}),
    ],
)  # fmt: skip
def test_a_step_changes_what_the_recipe_trains_and_nothing_else(
    base_model: Path, data_file: Path, recipe: str, parts: set[str]
) -> None:
    config = small_config(base_model, data_file, recipe, lora_dropout=0.0)
    model = loaded(base_model, config).model
    prepare(model, config)
    network = TrainingNetwork(model)
    # Weights in 4 bits are whole numbers, which cannot be trained; the CPU's kernels lay them out anew when first used.
    before = {
        name: each.detach().clone() for name, each in network.named_parameters() if each.is_floating_point()
    }
    trained = [each for each in network.parameters() if each.requires_grad]
    assert all(each.dtype == torch.float32 for each in trained)
    optimizer = torch.optim.SGD(trained, lr=10.0)
    for _ in range(2):  # an adapter's first step moves only one of its two factors
        optimizer.zero_grad()
        network(**one_batch(model))["loss"].backward()
        optimizer.step()
    now = dict(network.named_parameters())
    changed = {name for name in before if not torch.equal(now[name], before[name])}
    assert changed == set(trained_state(network))
    assert {part_of(name) for name in changed} == parts
    if config.keeps_adapter:
        assert all("lora_" in name for name in changed if part_of(name) == LANGUAGE)
        assert sum("lora_A" in name for name in changed) == 7 * model.config.text_config.num_hidden_layers


def one_batch(model: torch.nn.Module) -> dict[str, Tensor]:
    """Two rows with a picture each; every token is learned."""
    torch.manual_seed(0)
    ids = torch.randint(3, 300, (2, 30))
    ids[:, 1:17] = model.config.image_token_id  # type: ignore[union-attr]
    return {
        "input_ids": ids, "labels": torch.where(ids == model.config.image_token_id, -100, ids),  # type: ignore[union-attr]
        "attention_mask": torch.ones_like(ids), "pixel_values": torch.randn((2, 3, 32, 32)),
    }  # fmt: skip


@pytest.mark.parametrize("recipe", ["align", "finetune", "lora"])
def test_activation_checkpointing_changes_no_gradient(base_model: Path, data_file: Path, recipe: str) -> None:
    gradients = []
    for saving in (False, True):
        config = small_config(
            base_model, data_file, recipe, activation_checkpointing=saving, lora_dropout=0.0
        )
        model = loaded(base_model, config).model
        torch.manual_seed(1)
        prepare(model, config)
        assert model.model.language_model.is_activation_checkpointing == saving
        network = TrainingNetwork(model).train()
        network(**one_batch(model))["loss"].backward()
        gradients.append({name: each.grad for name, each in network.named_parameters() if each.requires_grad})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, base_model: Path, data_file: Path) -> Path:
    """A run's result that differs much from its base."""
    config = small_config(
        base_model, data_file, learning_rate=0.05, num_asked=0, held_out_share=0.0, num_epochs=1.0
    )
    folder = new_run(tmp_path_factory.mktemp("adapter") / "run", config)
    assert train_here(folder).result == "adapter", folder.log_tail()
    return folder.path


def test_the_result_holds_the_last_checkpoints_weights(adapter: Path) -> None:
    (last,) = adapter.glob("checkpoint-*")
    trained = load_file(last / "trained.safetensors")
    written = load_file(adapter / "result" / "adapter_model.safetensors")
    of_adapter = {name: each for name, each in trained.items() if "lora_" in name}
    assert len(written) == len(of_adapter) == 28
    for name, each in of_adapter.items():
        key = "base_model.model." + name.removeprefix("llava.").replace(".default.", ".")
        assert torch.equal(written[key], each), name
    projector = load_file(adapter / "result" / "projector.safetensors")
    for short, each in projector.items():
        assert torch.equal(each, trained[f"llava.model.{PROJECTOR}.{short}"])
    assert (adapter / "result" / "adapter_config.json").is_file()


def test_it_is_refused_on_another_base_also_where_the_engine_has_taken_the_weights(
    adapter: Path, base_model: Path
) -> None:
    own = checkpoint.load(base_model, device="cpu")
    Network(own.model, own.context_tokens, take_weights=True)
    assert read_adapter("mine", adapter / "result", own.model).deltas
    other = checkpoint.load(base_model, device="cpu")
    with torch.no_grad():
        for each in other.model.parameters():
            each.mul_(1.5)
    Network(other.model, other.context_tokens, take_weights=True)
    with pytest.raises(AdapterError, match="base"):
        read_adapter("mine", adapter / "result", other.model)


def greedy(model: torch.nn.Module, ids: Tensor, pixels: Tensor, num_tokens: int = 12) -> list[int]:
    out = model.generate(
        input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids), max_new_tokens=num_tokens,
        do_sample=False, eos_token_id=None,
    )  # type: ignore[operator]  # fmt: skip
    return list(out[0, ids.shape[1] :].tolist())


def test_merged_into_the_base_it_scores_as_it_was_trained(
    base_model: Path, data_file: Path, adapter: Path
) -> None:
    config = small_config(base_model, data_file)
    trained = loaded(base_model, config)
    prepare(trained.model, config)
    network = TrainingNetwork(trained.model)
    (last,) = adapter.glob("checkpoint-*")
    missing = network.load_state_dict(load_file(last / "trained.safetensors"), strict=False)
    assert not missing.unexpected_keys
    merged = checkpoint.load(str(base_model), adapter=str(adapter / "result"), device="cpu")
    base = checkpoint.load(str(base_model), device="cpu")
    given = one_batch(base.model)
    ids, pixels = given["input_ids"][:1], given["pixel_values"][:1]
    scores = [
        model.eval()(input_ids=ids, pixel_values=pixels).logits.detach()
        for model in (trained.model, merged.model, base.model)
    ]
    torch.testing.assert_close(scores[1], scores[0], atol=1e-4, rtol=1e-4)
    assert (scores[2] - scores[0]).abs().max() > 0.1
    assert greedy(merged.model, ids, pixels) == greedy(trained.model, ids, pixels)


def test_the_engine_serves_the_trained_answers(base_model: Path, adapter: Path) -> None:
    """Loaded beside the base, as the page does after a run."""
    import asyncio

    from PIL import Image

    from model.engine.request import Finished, GenerationRequest, Picture, Piece, SamplingSettings
    from model.engine.slot_engine import SlotEngine
    from model.engine.token_text import TokenText
    from model.pixels import pixel_values

    base = checkpoint.load(str(base_model), device="cpu")
    merged = checkpoint.load(str(base_model), adapter=str(adapter / "result"), device="cpu")
    assert len(read_adapter("mine", adapter / "result", base.model).deltas) == 14
    image = Image.new("RGB", (32, 32), (200, 30, 60))
    ids = one_batch(base.model)["input_ids"][0].tolist()
    sampling = SamplingSettings(temperature=0.0, max_new_tokens=12)

    async def served() -> dict[str, str]:
        engine = SlotEngine(base)
        await engine.load_adapter("mine", adapter / "result")
        texts = {}
        for name in (base.name, "mine"):
            request = GenerationRequest(name, tuple(ids), (Picture("a" * 64, image),), sampling)
            events = [event async for event in engine.stream(request)]
            assert isinstance(events[-1], Finished)
            texts[name] = "".join(event.text for event in events if isinstance(event, Piece))
        await engine.close()
        return texts

    texts = asyncio.run(served())
    pixels = pixel_values([image], merged.pixels)
    text = TokenText(merged.tokenizer)
    right = [text.feed(token) for token in greedy(merged.model, torch.tensor([ids]), pixels)]
    assert texts["mine"] == "".join(right) + text.rest()
    assert texts["mine"] != texts[base.name]


def test_a_whole_checkpoint_comes_out_of_finetune(tmp_path: Path, base_model: Path, data_file: Path) -> None:
    config = small_config(base_model, data_file, "finetune", num_epochs=1.0, num_asked=0, held_out_share=0.0)
    folder = new_run(tmp_path / "run", config)
    assert train_here(folder).result == "model", folder.log_tail()
    result = checkpoint.load(str(folder.result), device="cpu")
    trained = load_file(folder.checkpoints()[-1] / "trained.safetensors")
    for name, each in result.model.named_parameters():
        if f"llava.{name}" in trained:
            assert torch.equal(each, trained[f"llava.{name}"]), name
    base = load_file(base_model / "model.safetensors")
    written = load_file(folder.result / "model.safetensors")
    assert base.keys() == written.keys()
    for name, each in base.items():
        assert torch.equal(written[name], each) == ("vision" in name), name


def test_the_base_models_name_stands_in_the_adapter(
    tmp_path: Path, base_model: Path, data_file: Path
) -> None:
    import json

    config = small_config(base_model, data_file)
    made = loaded(base_model, config)
    adapted = prepare(made.model, config)
    write_result(tmp_path / "out", made, adapted, "org/base")
    told = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == "org/base"
    assert (told["r"], told["lora_alpha"], told["lora_dropout"]) == (4, 8, 0.1)
    shutil.rmtree(tmp_path / "out")
