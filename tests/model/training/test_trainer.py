"""What the trainer adds to transformers' own: groups with rates of their own, the schedule, steps of the size that the
config names, losses that do not depend on how a step is shared out, and what a checkpoint keeps."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from model.training.run_folder import RunFolder
from tests.model.training.small_run import new_run, small_config, train_here, write_data


def losses(folder: RunFolder) -> list[float]:
    return [line["loss"] for line in folder.metrics() if "loss" in line]


def ran(path: Path, base_model: Path, data: Path, recipe: Any = "lora", **changes: Any) -> RunFolder:
    """Without questions, dropout and what is held out."""
    values = {"num_asked": 0, "held_out_share": 0.0, "lora_dropout": 0.0, "num_epochs": 1.0, **changes}
    folder = new_run(path, small_config(base_model, data, recipe, **values))
    assert train_here(folder).phase == "done", folder.log_tail()
    return folder


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen records: two whole steps of eight."""
    return write_data(tmp_path_factory.mktemp("even"), num_pictures=8, num_texts=8)


def test_how_a_step_is_shared_out_changes_no_loss(tmp_path: Path, base_model: Path, even: Path) -> None:
    """One batch of sixteen, or four of four that are accumulated."""
    whole = ran(tmp_path / "whole", base_model, even, batch_size=16, micro_batch_size=16, num_epochs=3.0)
    parts = ran(tmp_path / "parts", base_model, even, batch_size=16, micro_batch_size=4, num_epochs=3.0)
    assert losses(parts) == pytest.approx(losses(whole), abs=1e-5)
    assert len(losses(whole)) == 3


@pytest.mark.parametrize(
    ("batch", "micro", "num_steps"), [(6, 4, 3), (16, 5, 1), (5, 5, 4), (100, 3, 1), (1, 8, 16)]
)
def test_a_step_has_as_many_samples_as_the_config_names(
    tmp_path: Path, base_model: Path, even: Path, batch: int, micro: int, num_steps: int
) -> None:
    folder = ran(
        tmp_path / "run",
        base_model,
        even,
        "align",
        batch_size=batch,
        micro_batch_size=micro,
        template="llava_v0",
    )
    assert len(losses(folder)) == num_steps


def test_the_projector_has_its_own_rate(tmp_path: Path, base_model: Path, even: Path) -> None:
    """And vectors do not decay."""
    folder = ran(
        tmp_path / "run", base_model, even, "finetune", learning_rate=1e-3, projector_learning_rate=5e-4,
        weight_decay=0.1,
    )  # fmt: skip
    state = torch.load(folder.checkpoints()[-1] / "optimizer.pt", weights_only=True)
    groups = [
        (group["initial_lr"], group["weight_decay"], len(group["params"])) for group in state["param_groups"]
    ]
    # Two layers of four and three matrices, embeddings and head; two norms a layer and the last one; the MLP.
    assert groups == [(1e-3, 0.0, 5), (1e-3, 0.1, 16), (5e-4, 0.0, 2), (5e-4, 0.1, 2)]


def test_the_rate_rises_and_falls_as_a_cosine(tmp_path: Path, base_model: Path, even: Path) -> None:
    folder = ran(
        tmp_path / "run", base_model, even, "align", template="llava_v0", num_epochs=5.0, warmup_share=0.2,
        last_rate_share=0.1, learning_rate=1e-3,
    )  # fmt: skip
    rates = [line["learning_rate"] for line in folder.metrics()]
    share = [(1 + math.cos(math.pi * (step - 2) / 8)) / 2 for step in range(2, 10)]
    right = [0.0, 0.5e-3] + [1e-3 * (0.1 + 0.9 * each) for each in share]
    assert rates == pytest.approx(right, rel=1e-6)


def test_steps_instead_of_epochs(tmp_path: Path, base_model: Path, even: Path) -> None:
    folder = ran(tmp_path / "run", base_model, even, max_steps=3, num_epochs=1.0)
    assert len(losses(folder)) == 3


def test_it_learns(tmp_path: Path, base_model: Path) -> None:
    """A model with random weights learns four answers by heart, and is told so."""
    data = write_data(tmp_path / "data", num_pictures=2, num_texts=2)
    config = small_config(
        base_model, data, "finetune", learning_rate=1e-2, batch_size=4, num_epochs=60.0, held_out_share=0.0,
        save_every_steps=1000, log_every_steps=5,
    )  # fmt: skip
    folder = new_run(tmp_path / "run", config)
    status = train_here(folder)
    assert (status.step, status.num_steps, status.epoch) == (60, 60, 60.0)
    assert losses(folder)[0] > 5
    assert losses(folder)[-1] < 0.3
    assert len(losses(folder)) == 12
    assert status.tokens_per_second is not None
    assert status.tokens_per_second > 0


def test_only_so_many_checkpoints_are_kept(tmp_path: Path, base_model: Path, even: Path) -> None:
    folder = new_run(
        tmp_path / "run",
        small_config(
            base_model, even, num_asked=0, held_out_share=0.0, save_every_steps=1, num_checkpoints_kept=2
        ),
    )
    (folder.path / "checkpoint-1").mkdir()
    (folder.path / "checkpoint-1" / "trained.safetensors").write_bytes(b"half")
    assert train_here(folder).phase == "done"
    assert sorted(path.name for path in folder.path.glob("checkpoint-*")) == ["checkpoint-5", "checkpoint-6"]


def test_what_is_held_out_is_measured_whole(tmp_path: Path, base_model: Path, data_file: Path) -> None:
    """The same loss whatever the batches are, before the first step, on the way and after the last."""
    found = []
    for micro in (1, 4):
        config = small_config(
            base_model,
            data_file,
            micro_batch_size=micro,
            evaluate_every_steps=2,
            lora_dropout=0.5,
            num_asked=2,
        )
        folder = new_run(tmp_path / str(micro), config)
        status = train_here(folder)
        found.append(status.held_out_loss_before)
        steps = [line["step"] for line in folder.metrics() if "held_out_loss" in line]
        assert steps == [0, 2, 4, 6]
        assert folder.log_file.exists() is False
        assert len(folder.answers()) == 2
        assert {"question", "pictures", "right", "before", "after"} == set(folder.answers()[0])
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_nothing_of_the_cache_is_left_behind(tmp_path: Path, base_model: Path, even: Path) -> None:
    folder = ran(tmp_path / "run", base_model, even, feature_cache="on")
    assert sorted(path.name for path in folder.path.iterdir() if not path.name.startswith("checkpoint")) == [
        "broken.json", "config.json", "metrics.jsonl", "result", "status.json"
    ]  # fmt: skip
    for line in folder.metrics_file.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_cached_features_change_no_loss(tmp_path: Path, base_model: Path, even: Path) -> None:
    found = [
        losses(ran(tmp_path / cache, base_model, even, feature_cache=cache, num_epochs=2.0))
        for cache in ("on", "off")
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_the_optimiser_in_8_bits_learns_as_the_whole_one_does(
    tmp_path: Path, base_model: Path, even: Path
) -> None:
    runs = [
        ran(tmp_path / name, base_model, even, "finetune", optimizer=name, num_epochs=4.0)
        for name in ("adamw", "adamw_8bit")
    ]
    whole, small = map(losses, runs)
    assert small == pytest.approx(whole, rel=0.02) and small[-1] < small[0]
    kept = [torch.load(run.checkpoints()[-1] / "optimizer.pt", weights_only=True)["state"] for run in runs]
    in_bytes = [
        any(
            isinstance(each, Tensor) and each.dtype == torch.uint8
            for state in states.values()
            for each in state.get("__bnb_optimizer_quant_state__", {}).values()
        )
        for states in kept
    ]
    assert in_bytes == [False, True]
