"""The command: flags make a config, a folder goes on by itself, and nonsense is told where it was written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.training.config import DataSource
from model.training.recipes import config_for
from model.training.run_folder import RunFolder
from scripts import train

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that would have been trained in."""
    from model.training import loop

    ran: list[Path] = []

    def run(folder: RunFolder, device: str) -> int:
        ran.append(folder.path)
        return 3

    monkeypatch.setattr(loop, "run", run)
    return ran


def test_flags_make_a_config_which_is_kept(tmp_path: Path, no_run: list[Path]) -> None:
    run = tmp_path / "run"
    flags = [
        "--recipe", "lora", "--model", "model/demo", "--data", "a.json", "--data", "b.json@0.25", "--pictures", "p",
        "--run", str(run), "--set", "num_epochs=2", "--set", "template=llava_v1",
    ]  # fmt: skip
    assert train.main(flags) == 3
    assert no_run == [run]
    config = RunFolder(run).config()
    assert config.data == (DataSource("a.json", "p"), DataSource("b.json", "p", 0.25))
    assert (config.recipe, config.model, config.num_epochs, config.template) == (
        "lora",
        "model/demo",
        2,
        "llava_v1",
    )
    narrow = config_for("lora", "model/demo", config.data, text_width=192)
    assert (config.learning_rate, config.lora_rank) == (narrow.learning_rate, narrow.lora_rank)
    assert train.main(["--run-folder", str(run)]) == 3
    assert len(no_run) == 2


def test_a_file_whose_name_has_an_at_is_a_file(tmp_path: Path, no_run: list[Path]) -> None:
    file = tmp_path / "a@2.json"
    file.write_text("[]")
    flags = ["--recipe", "align", "--model", "m", "--data", str(file), "--run", str(tmp_path / "run")]
    assert train.main(flags) == 3
    assert RunFolder(tmp_path / "run").config().data == (DataSource(str(file)),)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model", "m"], "--model, --data and --set make a new config: name its --recipe too."),
        (["--recipe", "lora", "--model", "m"], "A new run needs --model and --data."),
        (["--recipe", "lora", "--model", "m", "--data", "a@b"], "--data is FILE or FILE@SHARE, not 'a@b'."),
        (["--recipe", "lora", "--model", "m", "--data", "a", "--set", "x"], "--set is FIELD=VALUE, not 'x'."),
        (["--recipe", "lora", "--model", "m", "--data", "a", "--set", "epochs=3"], "A config has no field 'epochs'"),
        ([], "No such file or directory"),
    ],
)  # fmt: skip
def test_flags_that_cannot_be_meant(
    tmp_path: Path, no_run: list[Path], capsys: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        train.main([*flags, "--run", str(tmp_path / "run")])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert no_run == []


def test_a_folder_that_holds_a_run_is_not_written_over(
    tmp_path: Path, no_run: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--recipe", "lora", "--model", "m", "--data", "a", "--run", str(tmp_path)]
    assert train.main(flags) == 3
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(SystemExit):
        train.main([*flags, "--set", "seed=3"])
    assert "holds a run already; go on with it by --run alone" in capsys.readouterr().err
    assert (tmp_path / "config.json").read_text() == before


def test_a_config_edited_into_nonsense_is_told_in_its_folder(
    tmp_path: Path, no_run: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert train.main(["--run", str(tmp_path)]) == 1
    status = RunFolder(tmp_path).status()
    assert status is not None
    assert (status.phase, status.words) == ("failed", "The config has no recipe; add it.")
    assert "The config has no recipe; add it." in capsys.readouterr().err
    assert no_run == []


def test_the_command_trains_the_shipped_model(tmp_path: Path) -> None:
    """As a person starts it."""
    said = [{"from": "human", "value": "What is this?"}, {"from": "gpt", "value": "A red circle."}]
    file = tmp_path / "train.json"
    file.write_text(json.dumps([{"id": str(number), "conversations": said} for number in range(3)]))
    command = [
        sys.executable, "-m", "scripts.train", "--recipe", "lora", "--model", "model/demo", "--data", str(file),
        "--run", str(tmp_path / "run"), "--set", "num_epochs=1", "--set", "held_out_share=0", "--set", "device=cpu",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Done." in done.stdout
    folder = RunFolder(tmp_path / "run")
    status = folder.status()
    assert status is not None
    assert (status.phase, status.result, status.step) == ("done", "adapter", 1)
    assert (folder.result / "adapter_model.safetensors").is_file()
