"""A look at a model before another is ended for it: what it finds out, and how it says so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import close_session, constants
from safetensors.torch import load_file, save_file

from model.checkpoint import Hub, room
from model.checkpoint_look import main
from tests.model.checkpoint.hub_server import HubServer
from tests.model.tiny import edit_config, write_tiny_checkpoint

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "tiny"))


def look(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    capsys.readouterr()
    status = main(["--device", "cpu", *arguments])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_model_that_can_be_loaded_fits(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert look(capsys, "--model", str(written)) == (0, [{"fits": True}])
    assert look(capsys, "--model", str(written), "--quantize", "4bit", "--device-map", "auto")[0] == 0


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def with_an_odd_config(folder: Path) -> None:
    edit_config(folder, projector_type="resampler")


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def with_another_shape(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"language_model.lm_head.weight": torch.zeros(3, 3)}, path)


def without_a_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["language_model.lm_head.weight"]
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (without_config, "has no config.json"),
        (with_an_odd_config, "'resampler'"),
        (cut_short, "is cut short or damaged"),
        (with_another_shape, "is 3 x 3, expected"),
        (without_a_tensor, "lack 1 tensors"),
    ],
)
def test_what_is_broken_is_found_out_without_loading_it(
    folder: Path, capsys: pytest.CaptureFixture[str], broken: Any, said: str
) -> None:
    broken(folder)
    status, (told,) = look(capsys, "--model", str(folder))
    assert status == 1 and told.keys() == {"failed"} and said in told["failed"]


@pytest.mark.parametrize("options", [("--dtype", "int4"), ("--quantize", "1bit"), ("--device-map", "even")])
def test_what_cannot_be_asked_for_is_told(
    written: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, str]
) -> None:
    status, (told,) = look(capsys, "--model", str(written), *options)
    assert status == 1 and options[1] in told["failed"]


def test_the_memory_of_the_model_that_will_be_ended_counts_as_free(
    written: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda device: 1000)
    status, (told,) = look(capsys, "--model", str(written))
    assert status == 1 and "cpu has 0.0 GB free" in told["failed"]
    assert look(capsys, "--model", str(written), "--freed-by", str(os.getpid()))[0] == 0
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert look(capsys, "--model", str(written), "--freed-by", str(gone.pid))[0] == 1


def test_what_is_on_the_hub_is_fetched_and_told(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    with HubServer(
        {"org/tiny": written, "org/gated": written}, gated=frozenset({"org/gated"})
    ).running() as hub:
        here = partial(Hub, cache=tmp_path / "cache", endpoint=hub.endpoint)
        monkeypatch.setattr("model.checkpoint.hub.Hub", here)
        status, (*progress, last) = look(capsys, "--model", "org/tiny")
        assert status == 0 and last == {"fits": True}
        assert progress[-1]["fraction"] == 1.0 and progress[-1]["words"].startswith("Downloading org/tiny: ")
        status, (told,) = look(capsys, "--model", "org/gated")
        assert status == 1 and "org/gated is gated: accept its terms" in told["failed"]
    close_session()


def test_it_ends_with_the_page_that_asked_for_it(written: Path) -> None:
    """As a process, by the end of its standard input, also while libraries are being imported."""
    command = [sys.executable, "-m", "model.checkpoint_look", "--exit-with-parent", "--model", str(written)]
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    assert child.stdin is not None and child.stdout is not None
    child.stdin.close()
    assert child.wait(300) == 1 and child.stdout.read() == b""
    child.stdout.close()
