"""The bench: both sides learn the very same tokens, and every number of a row is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model import checkpoint
from model.training.config import DataSource, TrainingConfig
from model.training.dataset import IGNORED
from model.training.rendering import Rendering
from model.training.samples import read
from scripts import bench_training
from scripts.engine_bench.random_model import TINY, write_random_model
from scripts.training_bench.conversations import write_conversations
from scripts.training_bench.plain import PlainCollator, plain_model

NUMBER = 10


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("bench") / "tiny", TINY)


@pytest.fixture(scope="module")
def config(model: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    tokenizer = checkpoint.load(str(model), device="cpu").tokenizer
    file = write_conversations(tmp_path_factory.mktemp("data"), tokenizer, NUMBER, picture_side=64)
    return TrainingConfig("lora", str(model), (DataSource(str(file)),), held_out_share=0.0, lora_rank=2)


def test_lengths_are_mixed_and_every_word_is_a_token(config: TrainingConfig) -> None:
    loaded = checkpoint.load(config.model, device="cpu")
    samples = read(config, Rendering.of(loaded, config))
    assert len(samples.train) == NUMBER
    assert sum(bool(sample.pictures) for sample in samples.train) == 5
    lengths = sorted(len(sample.input_ids) for sample in samples.train)
    assert lengths[-1] > 2 * lengths[0]
    unknown = loaded.tokenizer.unk_token_id
    assert not any((sample.input_ids[sample.trained] == unknown).any() for sample in samples.train)


@pytest.mark.parametrize("recipe", ["finetune", "lora"])
def test_the_plain_side_learns_the_same_tokens_with_the_same_weights(
    config: TrainingConfig, recipe: str
) -> None:
    config = config.changed(recipe=recipe)
    loaded = checkpoint.load(config.model, device="cpu")
    samples = read(config, Rendering.of(loaded, config))
    batch = PlainCollator(samples.pictures, loaded.pixels)(samples.train)
    assert int((batch["labels"][:, 1:] != IGNORED).sum()) == sum(
        sample.num_trained for sample in samples.train
    )
    model = plain_model(Path(config.model), config)
    assert torch.isfinite(model(**batch).loss)
    from model.training.adapters import prepare

    prepare(loaded.model, config)
    ours, theirs = (
        sorted(each.numel() for each in side.parameters() if each.requires_grad)
        for side in (loaded.model, model)
    )
    assert ours == theirs


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_training.main(["--models", "tiny", "--recipes", "lora", "--samples", "6"]) == 0
    printed = capsys.readouterr().out
    assert "| trained tokens a second: `lora`" in printed
    assert "| peak memory: `lora`" in printed


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_what_kept_features_bring_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_training.main(["--models", "tiny", "--recipes", "lora", "--samples", "6", "--features"]) == 0
    printed = capsys.readouterr().out
    assert [f"features kept, {epochs} epochs" in printed for epochs in (1, 2, 3)] == [True] * 3


def test_names_that_there_are_not_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_training.main(["--models", "big"])
    assert "there is no 'big'; choose from demo, random, tiny" in capsys.readouterr().err
