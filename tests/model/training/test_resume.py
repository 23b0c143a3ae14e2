"""A run that is killed and goes on ends where one ends that was left alone."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.training import checkpoints
from model.training.run_folder import COMPLETE, RunFolder
from model.training.trainer import TRAINED, LlavaTrainer
from tests.model.training.small_run import (
    Limits,
    last_step,
    new_run,
    small_config,
    start,
    status_of,
    train,
    train_here,
    wait_until,
)

NUM_STEPS = 6
"""Of three epochs: the first ends with step 2, the second with step 4."""


def weights(folder: RunFolder) -> dict[str, Tensor]:
    """Of the last step: adapter and projector, or projector and language model."""
    return load_file(folder.path / f"checkpoint-{NUM_STEPS}" / TRAINED)


def losses(folder: RunFolder) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in folder.metrics() if "loss" in line}


def assert_ended_alike(folder: RunFolder, reference: RunFolder) -> None:
    assert status_of(folder).phase == "done", folder.log_tail()
    assert losses(folder) == pytest.approx(losses(reference), abs=1e-5)
    right = weights(reference)
    for name, tensor in weights(folder).items():
        torch.testing.assert_close(tensor, right[name], atol=1e-6, rtol=0, msg=name)
    before = (status_of(reference).matched_before, status_of(reference).held_out_loss_before)
    assert (status_of(folder).matched_before, status_of(folder).held_out_loss_before) == before
    assert [set(row) for row in folder.answers()] == [set(row) for row in reference.answers()]


@pytest.fixture(scope="module")
def left_alone(
    tmp_path_factory: pytest.TempPathFactory, base_model: Path, data_file: Path
) -> Callable[[str], RunFolder]:
    """By the recipe: a run that nobody disturbs. Steps of two accumulated batches; adapters with dropout."""

    @functools.cache
    def run_of(recipe: str) -> RunFolder:
        config = small_config(base_model, data_file, recipe, num_asked=1, save_every_steps=1)
        folder = new_run(tmp_path_factory.mktemp("left-alone") / recipe, config)
        assert train(folder) == 0, folder.log_tail()
        assert sorted(losses(folder)) == list(range(1, NUM_STEPS + 1))
        return folder

    return run_of


@pytest.fixture
def reference(left_alone: Callable[[str], RunFolder]) -> RunFolder:
    return left_alone("lora")


@pytest.mark.parametrize(
    ("recipe", "killed_at", "save_every"),
    [("lora", 4, 3), ("lora", 5, 2), ("lora", 1, 1), ("finetune", 4, 3), ("finetune", 5, 2)],
    ids=["lora-within-an-epoch", "lora-at-its-border", "lora-before-the-first", "finetune-within-an-epoch",
         "finetune-at-its-border"],
)  # fmt: skip
def test_killed_at_a_step_and_resumed(
    tmp_path: Path, left_alone: Callable[[str], RunFolder], recipe: str, killed_at: int, save_every: int
) -> None:
    reference = left_alone(recipe)
    config = reference.config().changed(save_every_steps=save_every)
    folder = new_run(tmp_path / "run", config)
    assert train(folder, Limits(killed_at=killed_at)) == -signal.SIGKILL
    assert last_step(folder) == killed_at
    assert train(folder) == 0
    assert_ended_alike(folder, reference)


def test_smaller_micro_batches_go_on_in_the_same_order(
    tmp_path: Path, base_model: Path, data_file: Path
) -> None:
    """What is advised where the memory ran out. Without dropout, which falls otherwise on other batches."""
    config = small_config(
        base_model, data_file, num_asked=0, save_every_steps=1, lora_dropout=0.0, held_out_share=0.0
    )
    reference = new_run(tmp_path / "left-alone", config)
    assert train(reference) == 0, reference.log_tail()
    folder = new_run(tmp_path / "run", config)
    assert train(folder, Limits(killed_at=2)) == -signal.SIGKILL
    folder.write_config(config.changed(micro_batch_size=2))
    assert train(folder) == 0, folder.log_tail()
    assert losses(folder) == pytest.approx(losses(reference), abs=1e-3)


def test_killed_from_outside_at_random(tmp_path: Path, reference: RunFolder) -> None:
    """Wherever it is just then: computing, logging or writing a checkpoint."""
    rng = random.Random(5)
    folder = new_run(tmp_path / "run", reference.config())
    for _ in range(2):
        from_step = last_step(folder) + rng.randrange(1, 3)
        limits = Limits(killed_at=from_step, killed_late=0.001 + rng.random() * 0.05)
        assert train(folder, limits) == -signal.SIGALRM, limits
    assert train(folder) == 0
    assert_ended_alike(folder, reference)


def test_asked_to_stop_it_saves_and_goes_on_there(tmp_path: Path, reference: RunFolder) -> None:
    folder = new_run(tmp_path / "run", reference.config().changed(save_every_steps=100))
    process = start(folder, Limits(waits_at=1))  # or it might be done before it is asked
    wait_until(lambda: last_step(folder) >= 1, process)
    os.kill(process.pid or 0, signal.SIGTERM)
    (folder.path / "go").touch()
    process.join(300)
    assert process.exitcode == 3, folder.log_tail()
    status = status_of(folder)
    step = int(folder.checkpoints()[-1].name.removeprefix("checkpoint-"))
    assert (status.phase, status.words) == (
        "stopped", f"Stopped at step {step}, which is saved; Resume goes on there."
    )  # fmt: skip
    assert 1 <= step < NUM_STEPS
    assert train(folder) == 0
    assert_ended_alike(folder, reference)


@pytest.mark.parametrize("step", [3, 4], ids=["an-epochs-first", "within-an-epoch"])
def test_a_step_that_is_broken_off_is_taken_again_whole(
    tmp_path: Path, base_model: Path, data_file: Path, step: int
) -> None:
    """A step of eight batches, with dropout in each: what the broken one drew from the random state is given back."""
    config = small_config(base_model, data_file, micro_batch_size=1, num_asked=0, save_every_steps=100)
    left_alone = new_run(tmp_path / "left-alone", config)
    assert train(left_alone) == 0
    folder = new_run(tmp_path / "run", config)
    assert train(folder, Limits(stopped_in=step)) == 3, folder.log_tail()
    assert [path.name for path in folder.checkpoints()] == [f"checkpoint-{step - 1}"]
    assert train(folder) == 0
    assert_ended_alike(folder, left_alone)


def test_what_is_half_written_is_not_resumed_from(tmp_path: Path, reference: RunFolder) -> None:
    folder = new_run(tmp_path / "run", reference.config())
    for step in (4, 5):
        shutil.copytree(reference.path / "checkpoint-5", folder.path / f"checkpoint-{step}")
        (folder.path / f"checkpoint-{step}" / COMPLETE).unlink()
    assert folder.checkpoints() == []
    assert train(folder) == 0
    assert_ended_alike(folder, reference)
    assert [path.name for path in sorted(folder.path.glob("checkpoint-*"))] == [
        "checkpoint-5",
        "checkpoint-6",
    ]


def gone_on(tmp_path: Path, reference: RunFolder, **changes: object) -> RunFolder:
    """The reference's folder with its last checkpoint but one, and some fields of the config changed by hand."""
    folder = new_run(tmp_path / "run", reference.config().changed(**changes))
    name = f"checkpoint-{NUM_STEPS - 1}"
    shutil.copytree(reference.path / name, folder.path / name)
    return folder


@pytest.mark.parametrize(
    ("field", "value"), [("lora_rank", 8), ("batch_size", 4), ("seed", 7), ("held_out_share", 0.5)]
)
def test_what_a_run_must_keep_cannot_be_changed(
    tmp_path: Path, reference: RunFolder, field: str, value: float
) -> None:
    folder = gone_on(tmp_path, reference, **{field: value})
    status = train_here(folder)
    assert status.phase == "failed"
    assert f"was made with {field} " in status.words
    assert "put" in status.words
    assert len(folder.checkpoints()) == 1


def test_other_data_is_told(tmp_path: Path, reference: RunFolder, base_model: Path) -> None:
    from tests.model.training.small_run import write_data

    other = write_data(tmp_path / "other", num_texts=9)
    folder = gone_on(tmp_path, reference)
    folder.write_config(small_config(base_model, other, reference.config().recipe, num_asked=1))
    assert train_here(folder).words.startswith("The data is not what it was when checkpoint-5 was made")


def test_a_rate_that_was_changed_holds_from_then_on(tmp_path: Path, reference: RunFolder) -> None:
    folder = gone_on(
        tmp_path, reference, learning_rate=4e-3, last_rate_share=1.0, warmup_share=0.0, num_epochs=4.0
    )
    assert train_here(folder).phase == "done"
    rates = {line["step"]: line["learning_rate"] for line in folder.metrics() if "loss" in line}
    assert rates == {step: pytest.approx(4e-3) for step in (6, 7, 8)}


def test_a_file_that_is_lost_or_cut_is_told(tmp_path: Path, reference: RunFolder) -> None:
    folder = gone_on(tmp_path, reference)
    (checkpoint,) = folder.checkpoints()
    (checkpoint / "optimizer.pt").unlink()
    words = train_here(folder).words
    assert words.startswith(
        "checkpoint-5 lacks optimizer.pt, and there is no whole checkpoint before it; put the file"
    )
    assert f"or remove the folder {checkpoint} to begin again" in words
    (checkpoint / "optimizer.pt").write_bytes(b"half of it")
    assert "checkpoint-5 cannot be read: optimizer.pt has 10 bytes" in train_here(folder).words
    (checkpoint / COMPLETE).write_text("")  # as an older program marked it, which tells no sizes
    assert "checkpoint-5 cannot be read" in train_here(folder).words
    whole = load_file(checkpoint / TRAINED)
    save_file({name: whole[name] for name in list(whole)[1:]}, checkpoint / TRAINED)
    assert "another recipe, rank or base" in train_here(folder).words


def test_a_newest_checkpoint_that_lost_a_file_is_passed_over_and_made_anew(
    tmp_path: Path, reference: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = gone_on(tmp_path, reference)
    newest = folder.path / f"checkpoint-{NUM_STEPS}"
    shutil.copytree(reference.path / newest.name, newest)
    (newest / "rng_state.pth").unlink()
    assert train_here(folder).phase == "done"
    said = capsys.readouterr().out
    assert "Going on at step 5 (checkpoint-6 lacks rng_state.pth)" in said and "going on before it" in said
    assert (newest / "rng_state.pth").is_file() and folder.checkpoints()[-1] == newest
    assert losses(folder)[NUM_STEPS] == pytest.approx(losses(reference)[NUM_STEPS], abs=1e-5)


def test_a_base_that_was_replaced_is_told(tmp_path: Path, reference: RunFolder) -> None:
    folder = gone_on(tmp_path, reference)
    about = folder.path / f"checkpoint-{NUM_STEPS - 1}" / "run.json"
    values = json.loads(about.read_text())
    about.write_text(json.dumps(values | {"base": values["base"][::-1]}))
    words = train_here(folder).words
    assert words.startswith(f"The base {folder.config().model} is not what it was when checkpoint-5 was made")


def test_an_evaluation_that_was_broken_off_is_made_up_for(
    tmp_path: Path, base_model: Path, data_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = []
    finish, batches = checkpoints.finish, LlavaTrainer._held_out_batches

    def finished(folder: Path, *about: Any) -> None:
        phases.append(status_of(RunFolder(folder.parent)).phase)
        finish(folder, *about)

    def stopped(self: LlavaTrainer) -> Any:
        if self.state.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return batches(self)

    monkeypatch.setattr(checkpoints, "finish", finished)
    config = small_config(
        base_model, data_file, num_asked=0, evaluate_every_steps=2, save_every_steps=100, max_steps=3
    )
    folder = new_run(tmp_path / "run", config)
    with monkeypatch.context() as patched:
        patched.setattr(LlavaTrainer, "_held_out_batches", stopped)
        assert train_here(folder).words.startswith("Stopped at step 2")
    held_out = {line["step"] for line in folder.metrics() if "held_out_loss" in line}
    assert held_out == {0}
    status = train_here(folder)
    assert status.phase == "done" and status.matched_before is status.matched_after is None
    assert status.held_out_loss_before is not None and status.held_out_loss_after is not None
    held_out = {line["step"] for line in folder.metrics() if "held_out_loss" in line}
    assert held_out == {0, 2, 3} and sorted(losses(folder)) == [1, 2, 3]
    assert phases == ["saving", "saving"]
