"""Two processes by torch's own launcher (over gloo, on the CPU) learn what one learns.

`accelerate launch --num_processes 2` starts a single process on a CPU without a word, so the number is asserted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model.training.run_folder import RunFolder
from tests.model.training.small_run import new_run, small_config, status_of, train, write_data

ROOT = Path(__file__).resolve().parent.parent.parent.parent


def train_by_two(folder: RunFolder, *, seconds: float = 400) -> int:
    """The exit status."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "scripts.train",
        "--run-folder", str(folder.path),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with folder.log_file.open("a") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)
        try:
            return process.wait(seconds)
        finally:  # asked in kindness, the launcher ends its children, which are in sessions of their own
            process.terminate()
            process.wait()


def test_two_processes_learn_what_one_learns(tmp_path: Path, base_model: Path) -> None:
    """Steps of eight: by one process in two batches, by two in one each. Pictures and texts come in batches of their
    own, so that now and then one process has pictures and the other has none. Each epoch is a whole number of steps."""
    data = write_data(tmp_path / "data", num_pictures=12, num_texts=12)
    config = small_config(
        base_model,
        data,
        num_asked=1,
        lora_dropout=0.0,
        num_epochs=2.0,
        held_out_share=0.0,
        save_every_steps=2,
    )
    one, two = new_run(tmp_path / "one", config), new_run(tmp_path / "two", config)
    assert train(one) == 0
    assert train_by_two(two) == 0, two.log_tail()
    assert f"Loading {base_model} on cpu, 2 processes" in two.log_file.read_text()
    assert status_of(two).phase == "done"
    losses = [
        [(line["step"], line["loss"]) for line in folder.metrics() if "loss" in line] for folder in (one, two)
    ]
    assert [step for step, _ in losses[0]] == [1, 2, 3, 4, 5, 6]
    assert len(list(two.metrics())) == 6, "only one process writes"
    for (step, right), (_, loss) in zip(*losses, strict=True):
        assert loss == pytest.approx(right, abs=1e-5), step
    right_weights, weights = (load_file(folder.result / "adapter_model.safetensors") for folder in (one, two))
    for name, tensor in right_weights.items():
        torch.testing.assert_close(weights[name], tensor, atol=2e-5, rtol=0, msg=name)
    assert {path.name for path in two.checkpoints()[-1].glob("rng_state*")} == {
        "rng_state_0.pth", "rng_state_1.pth"
    }  # fmt: skip
    assert two.result.is_dir()


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_two_processes_go_on_where_they_stopped(tmp_path: Path, base_model: Path) -> None:
    """Within the second epoch, with dropout, evaluations and an odd number of samples."""
    data = write_data(tmp_path / "data", num_pictures=13, num_texts=10)
    config = small_config(base_model, data, num_asked=1, num_epochs=2.0, batch_size=4, micro_batch_size=2,
                          save_every_steps=7)  # fmt: skip
    left_alone, cut = new_run(tmp_path / "left-alone", config), new_run(tmp_path / "cut", config)
    assert train_by_two(left_alone) == 0, left_alone.log_tail()
    assert len(left_alone.checkpoints()) == 2
    shutil.copytree(left_alone.path / "checkpoint-7", cut.path / "checkpoint-7")
    shutil.copy(left_alone.path / "broken.json", cut.path)
    assert train_by_two(cut) == 0, cut.log_tail()
    right, ours = (
        {line["step"]: line["loss"] for line in folder.metrics() if "loss" in line}
        for folder in (left_alone, cut)
    )
    assert min(ours) == 8
    for step, loss in ours.items():
        assert loss == pytest.approx(right[step], abs=1e-5), step


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_fault_in_both_is_told_once_and_ends_both(
    tmp_path: Path, base_model: Path, data_file: Path
) -> None:
    folder = new_run(tmp_path / "run", small_config(base_model / "nothing", data_file))
    assert train_by_two(folder) != 0
    assert status_of(folder).phase == "failed"
    assert str(base_model / "nothing") in status_of(folder).words
