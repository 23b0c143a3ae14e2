"""What goes wrong ends with a true sentence in status.json, and with the checkpoints that there were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from conversations.errors import DiskFull
from model.training import faults
from model.training.errors import UnusableData
from model.training.run_folder import RunFolder
from model.training.trainer import TRAINED
from tests.model.training.small_run import (
    Limits,
    new_run,
    small_config,
    status_of,
    train,
    train_here,
    write_data,
)

SEED_WITH_TEXT_FIRST = 6


def run_of(path: Path, base_model: Path, data_file: Path, recipe: str = "lora", **changes: Any) -> RunFolder:
    """Without questions, which take the time."""
    return new_run(path, small_config(base_model, data_file, recipe, **{"num_asked": 0, **changes}))


def checkpoints(folder: RunFolder) -> list[str]:
    return [each.name for each in folder.checkpoints()]


def test_a_loss_that_is_no_number_stops_it_before_anything_is_spoiled(
    tmp_path: Path, base_model: Path, data_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With this seed, the first step is of texts alone, and the first picture comes after it: their features are no
    numbers."""
    from model.training import network

    folder = run_of(
        tmp_path / "run", base_model, data_file, batch_size=4, save_every_steps=1, held_out_share=0.0,
        feature_cache="off", seed=SEED_WITH_TEXT_FIRST, num_epochs=1.0,
    )  # fmt: skip
    with monkeypatch.context() as poisoned:
        features = network.tower_features
        poisoned.setattr(network, "tower_features", lambda *given: features(*given) * torch.inf)
        status = train_here(folder)
    assert (status.phase, checkpoints(folder)[0]) == ("failed", "checkpoint-1")
    last = folder.checkpoints()[-1]
    step = int(last.name.removeprefix("checkpoint-")) + 1
    assert status.words == (
        f"The loss was no number at or before step {step}. Nothing of it was saved: {last.name} is good. Lower the "
        "learning rate in config.json, or look for odd samples with --check, and resume."
    )
    assert all(torch.isfinite(each).all() for each in load_file(last / TRAINED).values())
    assert not folder.result.exists()
    json.loads(folder.status_file.read_text(), parse_constant=pytest.fail)
    assert train_here(folder).phase == "done"
    assert sorted(line["step"] for line in folder.metrics()) == [1, 2, 3, 4, 5]


def test_weights_that_the_last_step_spoiled_are_not_saved(
    tmp_path: Path, base_model: Path, data_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of a step is a number while its gradient is none: only the next loss would show it."""
    from model.training.trainer import LlavaTrainer

    clip = LlavaTrainer._clip_grad_norm

    def spoiled(self: LlavaTrainer, model: torch.nn.Module) -> Any:
        if self.state.global_step == 1:
            next(each for each in model.parameters() if each.grad is not None).grad.fill_(torch.inf)  # type: ignore[union-attr]
        return clip(self, model)

    monkeypatch.setattr(LlavaTrainer, "_clip_grad_norm", spoiled)
    folder = run_of(tmp_path / "run", base_model, data_file, save_every_steps=1)
    status = train_here(folder)
    assert (status.phase, checkpoints(folder)) == ("failed", ["checkpoint-1"])
    assert "at or before step 2. Nothing of it was saved: checkpoint-1 is good." in status.words


def test_a_disk_that_is_full_while_saving(tmp_path: Path, base_model: Path, data_file: Path) -> None:
    """Files may grow to 100 kB: the first checkpoint of a large adapter does not fit. Then there is room."""
    folder = run_of(tmp_path / "run", base_model, data_file, lora_rank=64, feature_cache="off")
    assert train(folder, Limits(file_bytes=100_000)) == 1
    status = status_of(folder)
    assert status.phase == "failed"
    assert status.words == (
        f"There is no room left on the disk of {folder.path}; make room. There was no checkpoint yet."
    )
    assert not list(folder.path.glob("checkpoint-*"))
    assert train(folder) == 0
    assert status_of(folder).phase == "done"


def test_a_disk_that_is_full_keeps_the_checkpoints_before(
    tmp_path: Path, base_model: Path, data_file: Path
) -> None:
    """Each kind of file is the one that does not fit, and the last of them the result."""
    folder = run_of(tmp_path / "run", base_model, data_file, "finetune", save_every_steps=2)
    assert train(folder, Limits(killed_at=3)) < 0
    assert checkpoints(folder) == ["checkpoint-2"]
    sizes = {file.name: file.stat().st_size for file in folder.checkpoints()[0].iterdir()}
    for name in ("trained.safetensors", "optimizer.pt"):
        assert train(folder, Limits(file_bytes=sizes[name] - 1000)) == 1
        assert checkpoints(folder) == ["checkpoint-2"], name
        assert status_of(folder).words.endswith("checkpoint-2 is whole, and Resume goes on there."), name
        assert status_of(folder).words.startswith("There is no room left on the disk")
    assert train(folder) == 0


def test_a_disk_that_is_full_while_pictures_are_encoded(
    tmp_path: Path, base_model: Path, data_file: Path
) -> None:
    """A file of features of 20 kB where 12 pictures need 24: no signal kills the process."""
    folder = run_of(tmp_path / "run", base_model, data_file, feature_cache="on")
    assert train(folder, Limits(file_bytes=20_000)) == 1
    assert status_of(folder).words.startswith("There is no room left on the disk")


def test_memory_that_runs_out(tmp_path: Path, base_model: Path) -> None:
    """Address space for 150 MB more, and a batch of long texts that needs more than that."""
    records = [
        {"id": str(number), "conversations": [
            {"from": "human", "value": "Say it"}, {"from": "gpt", "value": "it is " * 300}]}
        for number in range(32)
    ]  # fmt: skip
    data = tmp_path / "long.json"
    data.write_text(json.dumps(records))
    folder = run_of(
        tmp_path / "run", base_model, data, "finetune", batch_size=32, micro_batch_size=32, held_out_share=0.0
    )
    assert train(folder, Limits(more_memory=150_000_000)) == 1
    status = status_of(folder)
    assert status.phase == "failed"
    assert status.words.startswith("The memory ran out: "), status.words
    assert "Lower micro_batch_size" in status.words
    assert status.words.endswith("There was no checkpoint yet.")


def test_an_error_that_nobody_foresaw_is_told_too(
    tmp_path: Path,
    base_model: Path,
    data_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from model.training import loop

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("a bug\nof two lines")

    monkeypatch.setattr(loop, "questions", broken)
    folder = run_of(tmp_path / "run", base_model, data_file)
    status = train_here(folder)
    assert status.phase == "failed"
    assert status.words.startswith("The run ended by an error that nobody foresaw: KeyError: ")
    assert "The log tells where. There was no checkpoint yet." in status.words
    assert 'raise KeyError("a bug' in capsys.readouterr().out


def test_a_model_that_is_not_there(tmp_path: Path, data_file: Path) -> None:
    folder = run_of(tmp_path / "run", tmp_path / "nothing", data_file)
    status = train_here(folder)
    assert status.phase == "failed"
    assert str(tmp_path / "nothing") in status.words


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "The config is no JSON"), ('{"recipe": "lora"}', "The config has no model; add it."),
        ("[1]", "A config is a JSON object"), ("\udcff", "is no text in UTF-8"),
        ({"learning_rate": -1}, "learning_rate cannot be -1"), ({"recipe": "lota"}, "recipe cannot be 'lota'"),
        ({"lora_rnak": 4}, "A config has no field 'lora_rnak'"), ({"batch_size": 10**400}, "batch_size cannot be"),
        ({"template": ["x"]}, "template cannot be ['x']"), ({"device": 3}, "device cannot be 3"),
        ({"device": "tpu"}, "There is no device 'tpu'"),
    ],
)  # fmt: skip
def test_a_config_edited_into_nonsense(
    tmp_path: Path, base_model: Path, data_file: Path, content: str | dict[str, Any], words: str
) -> None:
    from scripts.train import main

    folder = run_of(tmp_path / "run", base_model, data_file)
    if isinstance(content, dict):
        content = json.dumps(json.loads(folder.config().to_json()) | content)
    folder.config_file.write_bytes(content.encode(errors="surrogateescape"))
    assert main(["--run", str(folder.path)]) == 1
    status = status_of(folder)
    assert status.phase == "failed"
    assert words in status.words


# --- data -----------------------------------------------------------------------------------------


def test_one_broken_picture_is_skipped_and_counted(tmp_path: Path, base_model: Path) -> None:
    data = write_data(tmp_path / "data", num_pictures=150, num_texts=0)
    (data.parent / "7.png").write_bytes(b"no picture")
    folder = run_of(tmp_path / "run", base_model, data, num_epochs=0.1)
    status = train_here(folder)
    assert (status.phase, status.num_skipped) == ("done", 1), status.words
    assert folder.broken() is not None
    assert [Path(path).name for path in folder.broken() or {}] == ["7.png"]


def test_more_than_one_in_a_hundred_stops_it_before_the_start(tmp_path: Path, base_model: Path) -> None:
    data = write_data(tmp_path / "data", num_pictures=150, num_texts=0)
    (data.parent / "7.png").unlink()
    (data.parent / "8.png").write_bytes(b"no picture")
    folder = run_of(tmp_path / "run", base_model, data)
    status = train_here(folder)
    assert (status.phase, status.step) == ("failed", 0)
    assert status.words.startswith("2 of 150 pictures are missing or broken, more than 1 %: the first, ")
    assert (
        "7.png, is missing. Name the right folder" in status.words or "8.png, cannot be read" in status.words
    )


def cut(path: Path) -> None:
    """Its head is whole, its pixels are not: only decoding finds out."""
    from PIL import Image

    Image.effect_noise((64, 64), 90).convert("RGB").save(path.with_suffix(".jpg"))
    path.write_bytes(path.with_suffix(".jpg").read_bytes()[:-900])


@pytest.mark.parametrize("cache", ["on", "off"])
def test_a_picture_that_turns_out_broken_on_the_way(tmp_path: Path, base_model: Path, cache: str) -> None:
    data = write_data(tmp_path / "data")
    cut(data.parent / "0.png")
    folder = run_of(
        tmp_path / "run", base_model, data, feature_cache=cache, held_out_share=0.0, num_epochs=2.0
    )
    status = train_here(folder)
    assert (status.phase, status.num_skipped) == ("done", 1), status.words
    assert folder.broken() == {}


@pytest.mark.parametrize("cache", ["on", "off"])
def test_one_that_is_missing_and_one_that_only_decoding_shows_broken_are_two(
    tmp_path: Path, base_model: Path, cache: str
) -> None:
    """As the check counts them (test_data_check.py)."""
    data = write_data(tmp_path / "data")
    (data.parent / "0.png").unlink()
    cut(data.parent / "1.png")
    status = train_here(run_of(tmp_path / "run", base_model, data, feature_cache=cache))
    assert status.phase == "failed", status.words
    assert status.words.startswith("2 of 12 pictures cannot be read, more than 1 %; the first is ")


@pytest.mark.parametrize("cache", ["on", "off"])
def test_many_that_only_decoding_shows_broken(tmp_path: Path, base_model: Path, cache: str) -> None:
    data = write_data(tmp_path / "data")
    for name in ("0.png", "1.png"):
        cut(data.parent / name)
    status = train_here(run_of(tmp_path / "run", base_model, data, feature_cache=cache))
    assert status.phase == "failed"
    assert status.words.startswith("2 of 12 pictures cannot be read, more than 1 %; the first is ")


def test_a_picture_that_vanishes_between_two_starts(tmp_path: Path, base_model: Path) -> None:
    """The run goes on, and what it learns from the others is unchanged."""
    data = write_data(tmp_path / "data")
    folder = run_of(tmp_path / "run", base_model, data, save_every_steps=2, held_out_share=0.0)
    assert train(folder, Limits(killed_at=3)) < 0
    (data.parent / "0.png").unlink()
    assert train(folder) == 0
    assert status_of(folder).num_skipped == 1


def test_nothing_to_train_on(tmp_path: Path, base_model: Path) -> None:
    data = tmp_path / "data.json"
    said = [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": " "}]
    data.write_text(json.dumps([{"id": "1", "conversations": said}]))
    status = train_here(run_of(tmp_path / "run", base_model, data))
    assert status.phase == "failed"
    assert status.words.startswith("There is nothing to train on: 1 with an empty answer")


# --- sentences ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (OSError(28, "No space left on device"), "There is no room left"),
        (OSError(27, "File too large"), "There is no room left"),
        (DiskFull("There is no room left on the disk of somewhere; make room."), "There is no room left"),
        (RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos 64 vs 0"), "There is no room left"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore"), "The memory ran out: CUDA"),
        (OSError(12, "Cannot allocate memory"), "The memory ran out"), (MemoryError(), "The memory ran out"),
        (RuntimeError("could not create a primitive"), "The memory ran out"),
        (UnusableData("Nothing."), "Nothing."),
        (ValueError("x"), "The run ended by an error that nobody foresaw: ValueError: x."),
        (ValueError("inline_container, said a config"), "The run ended by an error that nobody foresaw"),
    ],
)  # fmt: skip
def test_the_sentence(tmp_path: Path, error: Exception, begins: str) -> None:
    assert faults.sentence(error, RunFolder(tmp_path)).startswith(begins)
