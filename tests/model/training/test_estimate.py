"""The estimate holds against what the real network, the real optimiser and a real run take."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from model.llava import Llava
from model.pixels import PixelConfig
from model.training.activations import Batch
from model.training.adapters import prepare
from model.training.base_model import look_at, shape_of
from model.training.config import DataSource, TrainingConfig
from model.training.efficiency import FIRST_GUESS, efficiency
from model.training.estimate import Estimate, Run, estimate, num_trained
from model.training.machine import Efficiency, Machine
from model.training.model_shape import ModelShape
from model.training.network import TrainingNetwork
from model.training.recipes import config_for
from model.training.run_folder import RunFolder
from model.training.status import RunStatus
from model.training.work import training_flops
from model.training.workload import Workload
from scripts.train import main
from tests.model.tiny import tiny_llava, write_tiny_checkpoint
from tests.model.training.data_sets import colours, write
from tests.model.training.small_run import new_run, small_config, train

ROOT = Path(__file__).resolve().parents[3]
_PROCESSES = multiprocessing.get_context("forkserver")  # small_run.py says why
PATCHES = 16
BATCH = Batch(num_samples=2, num_tokens=160, num_trained=80)

LLAVA_7B = ModelShape(
    tower=303_507_456, projector=20_979_712, embeddings=131_072_000, language=6_476_267_520, head=131_072_000,
    quantisable=6_476_005_376 + 301_989_888,
    linears=((4096, 4096),) * 4 + ((11008, 4096),) * 2 + ((4096, 11008),),
    num_layers=32, width=4096, mlp_width=11008, query_width=4096, key_width=4096, vocabulary=32000,
    tower_width=1024, tower_mlp_width=4096, tower_layers=24, num_patches=576,
)  # fmt: skip
"""LLaVA 1.5 7B: LLaMA 2 7B's config and CLIP ViT-L/14's at 336 pixels."""


def network(dtype: torch.dtype) -> Llava:
    """Large enough that activations outweigh what is not counted, small enough for a second."""
    torch.manual_seed(0)
    vision = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, image_size=32,
            patch_size=8,
        )
    )  # fmt: skip
    language = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=800, hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6,
            num_key_value_heads=6, max_position_embeddings=512,
        )
    )  # fmt: skip
    made = Llava.from_parts(
        vision,
        language,
        projector_type="mlp2x_gelu",
        image_token_id=3,
        template="llava_v0",
        pixels=PixelConfig(32),
    )
    return made.to(dtype)


def shape_in_memory(llava: Llava) -> ModelShape:
    tensors = {name: tuple(each.shape) for name, each in llava.state_dict().items()}
    return shape_of(tensors, PATCHES)


def config_of(recipe: Any, **changes: Any) -> TrainingConfig:
    return config_for(recipe, "x", (DataSource("x.json"),), **{"lora_rank": 16, **changes})


def batch_of(batch: Batch) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 700, (batch.num_samples, batch.num_tokens))
    ids[:, 5 : 5 + PATCHES] = 3
    labels = torch.full_like(ids, -100)
    learned = batch.num_trained // batch.num_samples
    labels[:, -learned:] = ids[:, -learned:]
    features = torch.randn(batch.num_samples, PATCHES, 64)
    return {
        "input_ids": ids,
        "labels": labels,
        "attention_mask": torch.ones_like(ids),
        "tower_features": features,
    }


def work_of(batch: Batch) -> Workload:
    learned = batch.num_trained // batch.num_samples
    samples = ((batch.num_tokens, learned),) * batch.num_samples
    return Workload(samples, (), num_pictures=batch.num_samples, num_picture_uses=batch.num_samples)


def machine_of(free_gigabytes: float, device: str = "cpu", **changes: Any) -> Machine:
    values = {
        "device": device, "free_memory": round(free_gigabytes * 1e9), "base_memory": 0, "free_disk": 10**15,
        "flops_per_second": 1e12, "bytes_per_number": 4 if device == "cpu" else 2,
    }  # fmt: skip
    return Machine(**{**values, **changes})


def estimated(config: TrainingConfig, shape: ModelShape, work: Workload, machine: Machine) -> Estimate:
    return estimate(Run(config, shape, work, machine, Efficiency(0.5), cached=True))


# --- against the real network -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("recipe", "dtype"),
    [
        ("align", torch.float32),
        ("finetune", torch.float32),
        ("lora", torch.float32),
        ("lora", torch.bfloat16),
    ],
)
def test_tensors_at_the_highest_point_of_real_steps_are_as_estimated(
    recipe: str, dtype: torch.dtype, checkpointing: bool
) -> None:
    from tests.model.training.peak_bytes import PeakBytes

    llava = network(dtype)
    shape = shape_in_memory(llava)
    config = config_of(recipe, activation_checkpointing=checkpointing, micro_batch_size=BATCH.num_samples)
    prepare(llava, config)
    trained = TrainingNetwork(llava).train()
    optimizer = torch.optim.AdamW([each for each in trained.parameters() if each.requires_grad], lr=1e-4)
    inputs, counted = batch_of(BATCH), PeakBytes()
    for parameter in trained.parameters():
        counted.add(parameter.data)
    half = dtype != torch.float32
    with counted:
        for _ in range(2):
            with torch.autocast("cpu", dtype=dtype) if half else contextlib.nullcontext():
                loss = trained(**inputs)["loss"]
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    made = estimated(config, shape, work_of(BATCH), machine_of(99, bytes_per_number=dtype.itemsize))
    assert 0.75 < made.memory / counted.peak < 1.3


@pytest.mark.parametrize("recipe", ["align", "finetune", "lora", "qlora"])
def test_trained_weights_are_counted_as_the_recipe_trains_them(recipe: str) -> None:
    llava = network(torch.float32)
    shape, config = shape_in_memory(llava), config_of(recipe)
    assert shape.num_weights == sum(each.numel() for each in llava.parameters())
    prepare(llava, config)
    assert num_trained(config, shape) == sum(
        each.numel() for each in llava.parameters() if each.requires_grad
    )


@pytest.mark.parametrize("recipe", ["align", "finetune", "lora"])
def test_work_is_counted_as_torch_counts_it(recipe: str) -> None:
    llava = network(torch.float32)
    llava.model.language_model.config._attn_implementation = (
        "eager"  # whose products torch can count on a CPU
    )
    shape, config = shape_in_memory(llava), config_of(recipe, lora_dropout=0.0, num_epochs=1.0)
    prepare(llava, config)
    trained = TrainingNetwork(llava).train()
    with FlopCounterMode(display=False) as counter:
        trained(**batch_of(BATCH))["loss"].backward()
    assert training_flops(config, shape, work_of(BATCH), cached=True) == pytest.approx(
        counter.get_total_flops(),
        rel=0.15,  # the last of two layers is counted whole, and computed where it is learned
    )


def test_the_shape_is_told_by_the_files_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny")
    llava, _ = tiny_llava()

    def read(*_: object) -> None:
        raise AssertionError("a weight was read")

    monkeypatch.setattr("model.checkpoint.tensor_file.TensorFile.get", read)
    base = look_at(replace(config_of("lora"), model=str(folder)))
    assert base.shape == shape_in_memory(llava)
    assert base.rendering.num_patches == PATCHES


# --- a real run -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Checked, then trained, each in a process of its own."""
    folder = tmp_path_factory.mktemp("estimated")
    model, data = write_tiny_checkpoint(folder / "tiny"), write(folder / "data", colours(0, 24))
    config = small_config(model, data, num_asked=2, max_steps=6)
    run = new_run(folder / "runs" / "one", config)
    check = _PROCESSES.Process(target=_check, args=(str(run.path),))
    check.start()
    check.join(400)
    assert (check.exitcode, train(run)) == (0, 0)
    return run


def _check(path: str) -> None:
    torch.set_num_threads(1)
    sys.exit(main(["--check", "--run", path]))


def test_a_real_run_takes_the_memory_and_the_steps_that_were_told(finished_run: RunFolder) -> None:
    report = json.loads(finished_run.check_file.read_text())
    status = finished_run.status()
    assert status is not None and status.memory_bytes is not None
    assert 0.5 < report["estimate"]["memory"] / status.memory_bytes < 2
    assert report["num_steps"] == status.num_steps
    assert report["estimate"]["words"].startswith("Needs about ")


def test_what_a_run_reached_is_expected_of_the_next_one(finished_run: RunFolder) -> None:
    config, runs = finished_run.config(), finished_run.path.parent
    shape = look_at(config).shape
    work = Workload(((100, 10),) * 20, (), 20, 20)
    speeds = [line["tokens_per_second"] for line in finished_run.metrics() if "tokens_per_second" in line]
    known = efficiency([runs / "no run", *runs.iterdir()], "cpu", config, shape, work, 1e13)
    made = estimate(Run(config, shape, work, machine_of(9, flops_per_second=1e13), known, cached=True))
    assert known.run == made.efficiency_from == "one"
    a_second = made.training_tokens / (made.training_flops / (made.flops_per_second * made.efficiency))
    assert min(speeds) <= a_second <= max(speeds)
    assert efficiency(runs.iterdir(), "cuda", config, shape, work, 1e9).share == FIRST_GUESS["cuda"]
    other = config.changed(recipe="align")
    assert efficiency(runs.iterdir(), "cpu", other, shape, work, 1e9).run == ""


def test_a_run_that_failed_tells_nothing_about_speed(finished_run: RunFolder, tmp_path: Path) -> None:
    failed = RunFolder(tmp_path / "failed")
    failed.write_config(finished_run.config())
    failed.add_metrics({"step": 1, "loss": 1.0, "tokens_per_second": 5.0})
    failed.write_status(RunStatus(phase="failed", device="cpu"))
    shape = look_at(finished_run.config()).shape
    work = Workload(((100, 10),) * 20, (), 20, 20)
    assert efficiency([failed.path], "cpu", failed.config(), shape, work, 1e9).run == ""


# --- what is told -----------------------------------------------------------------------------------------------------

PICTURES = Workload(((800, 150),) * 1000, (), 1000, 1000)


def seven_billion(recipe: Any, free: float, **changes: Any) -> Estimate:
    config = config_of(recipe, lora_rank=128, **changes)
    return estimated(config, LLAVA_7B, PICTURES, machine_of(free, "cuda", base_memory=600_000_000))


def test_a_large_model_that_does_not_fit_is_told_what_does() -> None:
    made = seven_billion("lora", 11, activation_checkpointing=True, micro_batch_size=1)
    assert not made.fits
    assert made.remedy == "use qlora and set optimizer to adamw_8bit"
    assert made.words == f"Needs about {made.memory / 1e9:.2g} GB; this GPU has 11 GB free: {made.remedy}."
    with_remedy = seven_billion(
        "qlora", 11, activation_checkpointing=True, micro_batch_size=1, optimizer="adamw_8bit"
    )
    assert with_remedy.fits and with_remedy.memory < 11e9


def test_the_remedy_changes_no_more_than_it_must() -> None:
    needed = seven_billion("lora", 999).memory / 1e9
    less = seven_billion("lora", 999, activation_checkpointing=True).memory / 1e9
    assert less < needed
    assert seven_billion("lora", (less + needed) / 2).remedy == "turn activation_checkpointing on"
    assert seven_billion("lora", needed * 1.1).fits


def test_all_weights_of_seven_billion_take_sixteen_bytes_each_and_more() -> None:
    made = seven_billion("finetune", 80, activation_checkpointing=True, micro_batch_size=1)
    assert made.weights + made.gradients + made.optimizer > 16 * 6.7e9
    assert not made.fits
    assert seven_billion("qlora", 80).weights < made.weights / 4


def test_where_nothing_helps_that_is_said() -> None:
    made = seven_billion("qlora", 2)
    assert made.remedy == ""
    assert "choose a smaller model" in made.words


def test_a_full_disk_is_told_with_what_will_be_written() -> None:
    config = config_of("finetune")
    machine = machine_of(10_000, "cuda", free_disk=50 * 10**9)
    made = estimated(config, LLAVA_7B, PICTURES, machine)
    assert made.checkpoints > 50e9 and not made.fits
    assert "make room on the disk" in made.words and "50 GB free" in made.words


def test_features_that_are_kept_cost_the_tower_once(tmp_path: Path) -> None:
    config = config_of("lora", num_epochs=5.0)
    kept, not_kept = (
        estimate(Run(config, LLAVA_7B, PICTURES, machine_of(99, "cuda"), Efficiency(0.5), cached=cached))
        for cached in (True, False)
    )
    tower = 2 * LLAVA_7B.tower * 577 * 1000
    saved = not_kept.training_flops + not_kept.other_flops - kept.training_flops - kept.other_flops
    assert saved == pytest.approx(4 * tower, rel=0.2)
    assert kept.feature_cache == 1000 * 576 * 1024 * 2 and not_kept.feature_cache == 0


@pytest.mark.parametrize(
    "module", ["data_report", "data_check", "estimate", "preview", "report_table", "efficiency"]
)
def test_the_page_can_read_it_without_torch(module: str) -> None:
    program = f"import sys, model.training.{module}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=400, check=True
    )
    assert done.stdout.strip() == "False"
