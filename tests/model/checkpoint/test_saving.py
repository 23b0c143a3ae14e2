"""Writing a folder: whole or not at all, and nothing of an older one is left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers.models.llava.modeling_llava import LlavaForConditionalGeneration

from model import checkpoint
from model.checkpoint import CheckpointFormatError, CheckpointNotFound, UnsupportedCheckpoint
from tests.model.tiny import tiny_llava, write_tiny_checkpoint


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(written, tmp_path / "tiny"))


def test_a_save_that_fails_while_writing_leaves_the_old_checkpoint(
    folder: Path, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = tiny_llava(seed=1)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(type(tokenizer), "save_pretrained", full_disk)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(folder, model, tokenizer)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in written.iterdir()
    }
    assert list(folder.parent.iterdir()) == [folder]


def test_a_crash_at_any_rename_leaves_nothing_that_loads_wrongly(
    folder: Path, written: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model, tokenizer = tiny_llava(seed=1, template="vicuna_v1")
    num_files = len(list(written.iterdir()))
    replace = Path.replace
    for num_moved in range(num_files):
        left = [num_moved]

        def crashing(self: Path, target: Path, left: list[int] = left) -> Path:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return replace(self, target)

        broken = Path(shutil.copytree(written, tmp_path / f"after_{num_moved}"))
        monkeypatch.setattr(Path, "replace", crashing)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(broken, model, tokenizer)
        monkeypatch.setattr(Path, "replace", replace)
        with pytest.raises(CheckpointNotFound, match=r"no config\.json"):
            checkpoint.load(broken)


def test_saving_over_an_older_checkpoint_leaves_none_of_its_weights(folder: Path) -> None:
    model, tokenizer = tiny_llava(seed=1)
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"old")
    (folder / "model.safetensors.index.json").write_text("{}")
    (folder / "added_tokens.json").write_text('{"<old>": 3}')
    (folder / "pytorch_model.bin").write_bytes(b"old")
    (folder / "tokenizer.model").write_bytes(b"old")
    (folder / "README.md").write_text("The card stays.")
    checkpoint.save(folder, model, tokenizer)
    assert not list(folder.glob("model-*")) + list(folder.glob("*.index.json"))
    for name in ("added_tokens.json", "pytorch_model.bin", "tokenizer.model"):
        assert not (folder / name).exists()
    assert (folder / "README.md").exists()
    assert torch.equal(checkpoint.load(folder).model.lm_head.weight, model.lm_head.weight)


@pytest.mark.parametrize("options", [{}, {"tied": True}, {"projector_type": "linear"}])
def test_the_keys_are_those_that_other_programs_know(tmp_path: Path, options: dict) -> None:
    """transformers 4, vLLM and llama.cpp's converter know no others (docs/converting.md)."""
    model, tokenizer = tiny_llava(**options)
    checkpoint.save(tmp_path, model, tokenizer)
    keys = load_file(tmp_path / "model.safetensors").keys()
    beginnings = {key.partition(".")[0] for key in keys}
    assert beginnings == {"language_model", "multi_modal_projector", "vision_tower"}
    assert "language_model.model.embed_tokens.weight" in keys
    assert "vision_tower.vision_model.pre_layrnorm.weight" in keys
    assert ("language_model.lm_head.weight" in keys) == (not options.get("tied"))
    assert any("keys are those of llava-hf" in told for told in checkpoint.load(tmp_path, device="cpu").told)


def test_what_was_saved_before_with_newer_keys_is_read_as_ever(tmp_path: Path) -> None:
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path, model, tokenizer)
    model.save_pretrained(tmp_path)  # as `save` wrote weights once
    assert "model.vision_tower.pre_layrnorm.weight" in load_file(tmp_path / "model.safetensors")
    theirs = checkpoint.load(tmp_path, device="cpu").model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())


def test_plain_transformers_reads_what_was_saved(tmp_path: Path) -> None:
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path, model, tokenizer)
    found, report = LlavaForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    theirs = found.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())


def test_each_tensor_keeps_its_format_and_the_config_names_that_of_most(tmp_path: Path) -> None:
    model, tokenizer = tiny_llava()
    model.to(torch.float16).model.multi_modal_projector.float()
    checkpoint.save(tmp_path, model, tokenizer)
    written = load_file(tmp_path / "model.safetensors")
    wide = {key for key, tensor in written.items() if tensor.dtype == torch.float32}
    assert wide == {key for key in written if "projector" in key}
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float16"


def test_others_may_read_what_was_saved_as_far_as_they_may_read_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    checkpoint.save(folder, *tiny_llava())
    modes = {path.stat().st_mode & 0o044 for path in folder.iterdir()}
    assert modes == {folder.stat().st_mode & 0o044}


@pytest.mark.parametrize("template", ["v9", None])
def test_a_model_without_a_known_template_is_not_saved(tmp_path: Path, template: str | None) -> None:
    model, tokenizer = tiny_llava()
    model.config.template = template
    with pytest.raises(CheckpointFormatError, match="template"):
        checkpoint.save(tmp_path / "new", model, tokenizer)
    assert not (tmp_path / "new").exists()


def test_a_model_in_fewer_bits_is_not_saved(written: Path, tmp_path: Path) -> None:
    loaded = checkpoint.load(written, quantize="4bit", device="cpu")
    with pytest.raises(UnsupportedCheckpoint, match=r"new was not written: .*fewer bits.*--quantize none"):
        checkpoint.save(tmp_path / "new", loaded.model, loaded.tokenizer)
    assert not (tmp_path / "new").exists()
