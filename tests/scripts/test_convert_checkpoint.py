"""The command: what it writes, what it keeps, and what it says where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model import checkpoint
from scripts.convert_checkpoint import main
from tests.model.checkpoint_export.models import assert_equal_tensors, tensors_of, tiny
from tests.model.tiny import write_tiny_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "trained")


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_llava_hf_and_back_keeps_every_bit(tmp_path: Path, model: Path) -> None:
    assert main(["--to", "llava-hf", str(tmp_path / "hf"), "--model", str(model)]) == 0
    assert main(["--to", "merged", str(tmp_path / "back"), "--model", str(tmp_path / "hf")]) == 0
    before, after = checkpoint.load(model, device="cpu"), checkpoint.load(tmp_path / "back", device="cpu")
    assert_equal_tensors(tensors_of(before), tensors_of(after))
    assert (after.template, after.pixels, after.about) == (before.template, before.pixels, before.about)
    assert {"chat_template.jinja", "preprocessor_config.json", "processor_config.json"} <= names(
        tmp_path / "hf"
    )


def test_what_is_recognised_is_told_in_the_terminal_and_what_was_done_is_the_output(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--to", "merged", str(tmp_path / "out"), "--model", str(model)]) == 0
    said = capsys.readouterr()
    assert (
        "has vision_config and text_config: the layout of transformers, with this project's keys" in said.err
    )
    assert said.out.splitlines() == [f"Wrote trained as merged to {tmp_path / 'out'}."]
    checkpoint.load(model, device="cpu")
    assert capsys.readouterr().err == "", "only while the command runs"


def test_the_number_format_is_kept_unless_another_is_asked_for(tmp_path: Path) -> None:
    half = tiny(tmp_path / "full", dtype="float16")
    checkpoint.save(tmp_path / "half", half.loaded.model, half.loaded.tokenizer)
    for asked, expected in ((), torch.float16), (("--dtype", "bfloat16"), torch.bfloat16):
        main(
            [
                "--to",
                "original",
                str(tmp_path / "out"),
                "--model",
                str(tmp_path / "half"),
                "--overwrite",
                *asked,
            ]
        )
        tensors = load_file(tmp_path / "out" / "model.safetensors")
        assert {tensor.dtype for tensor in tensors.values()} == {expected}


def test_large_models_come_in_shards(tmp_path: Path, model: Path) -> None:
    assert (
        main(["--to", "original", str(tmp_path / "out"), "--model", str(model), "--max-shard-gb", "0.00005"])
        == 0
    )
    assert "model.safetensors.index.json" in names(tmp_path / "out")


def test_a_delta_of_a_model_to_itself_is_zero(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--to", "original", str(tmp_path / "whole"), "--model", str(model)])
    tensors = load_file(tmp_path / "whole" / "model.safetensors")
    (tmp_path / "base").mkdir()
    language = {
        key: value for key, value in tensors.items() if "vision" not in key and "projector" not in key
    }
    torch.save(language, tmp_path / "base" / "pytorch_model.bin")
    delta = ["--to", "delta", str(tmp_path / "delta"), "--model", str(model)]
    assert main([*delta, "--base", str(tmp_path / "base")]) == 0
    num_numbers = sum(value.numel() for value in language.values())
    assert f"{num_numbers:,} of {num_numbers:,} numbers come back as they were" in capsys.readouterr().out
    written = load_file(tmp_path / "delta" / "model.safetensors")
    assert {key for key in written if "inv_freq" not in key} == tensors.keys()
    assert {key for key, value in written.items() if not value.any()} >= language.keys()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "delta"], "--base"),
        (["--to", "merged", "--base", "somewhere"], "--model-base"),
        (["--to", "llava-hf", "--model", "nowhere"], "nowhere"),
        (["--to", "llava-hf", "--template", "v9"], "v9"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    given = arguments if "--model" in arguments else [*arguments, "--model", str(model)]
    assert main([str(tmp_path / "out"), *given]) == 1
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_kept_unless_it_may_go(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--to", "merged", str(tmp_path / "out"), "--model", str(model)]
    assert main(arguments) == 0
    (tmp_path / "out" / "note.txt").write_text("mine")
    assert main(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "note.txt").exists()
    assert main([*arguments, "--overwrite"]) == 0
    assert not (tmp_path / "out" / "note.txt").exists()
