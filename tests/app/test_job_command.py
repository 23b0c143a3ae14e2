"""The command that people copy is the one that does what the form orders."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from app.job_command import ROOT, command_line, train_command
from model.training.config import DataSource, TrainingConfig
from model.training.recipes import config_for
from model.training.run_folder import RunFolder
from scripts import train

ONE = (DataSource("some where/train.json", "pictures"),)
SEVERAL = (
    DataSource("a@b.json", "all pictures"),
    DataSource("old.json", "all pictures", 0.25),
    DataSource("c.json", "all pictures", 1.5),
)


@pytest.mark.parametrize(
    "config",
    [
        config_for("lora", "model/demo", ONE),
        config_for(
            "finetune", "model/demo", ONE, learning_rate=0.03, template="llava_v0", max_steps=7, seed=3
        ),
        config_for("align", "o'hara's/model", SEVERAL, activation_checkpointing=True, device="cuda:1"),
        config_for("qlora", "m", (DataSource("x.json"),), scale="paper", projector_learning_rate=None),
        TrainingConfig("lora", "m", (DataSource("x.json"),), device="1", precision="float32"),
    ],
)
def test_the_command_gives_the_very_config(tmp_path: Path, config: TrainingConfig) -> None:
    line = command_line(config, tmp_path / "a run")
    words = shlex.split(line)
    assert words[1:3] == ["-m", "scripts.train"]
    chosen = train._parser().parse_args(words[3:])
    folder = RunFolder(Path(chosen.run))
    assert folder.path == tmp_path / "a run"
    assert train._config(chosen, folder) == config
    assert shlex.split(command_line(config, folder.path))[3:] == ["--run", str(folder.path)]


def test_files_with_pictures_in_several_folders_are_written_into_the_config(tmp_path: Path) -> None:
    sources = (DataSource("it's/a.json", "p"), DataSource("b.json", "q"))
    config = config_for("lora", "model/demo", sources, max_steps=2)
    folder = RunFolder(tmp_path / "a run")
    write, _, run = command_line(config, folder.path).rpartition("\n")
    subprocess.run(["bash", "-c", write], cwd=ROOT, check=True)
    assert folder.config() == config
    assert shlex.split(run)[1:] == ["-m", "scripts.train", "--run", str(folder.path)]


def test_the_command_is_meant_for_the_programs_own_folder() -> None:
    words = shlex.split(command_line(config_for("lora", "model/demo", ONE), ROOT / "runs" / "mine"))
    assert words[words.index("--run") + 1] == "runs/mine"
    assert (ROOT / words[0]).absolute() == Path(sys.executable).absolute()
    assert train_command(Path("/runs/x"))[1:] == ["-m", "scripts.train", "--run", "/runs/x"]
