"""`make demo-model` in small: from nothing to a checkpoint with its card, and on from where it was cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from model import checkpoint
from scripts import train_demo_model
from scripts.demo_world import clip_stage
from scripts.demo_world.clip_stage import DrawnClip
from scripts.demo_world.llava_stages import train_llava
from tests.scripts.demo_world.test_llava_stages import SHORT


class CutOff(Exception):
    """The machine went away."""


def test_a_run_that_was_cut_off_goes_on_and_ends_with_a_model_and_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    whole = clip_stage.clip_loss

    def small(clip: DrawnClip, step: int, num_pictures: int) -> Tensor:
        steps.append(step)
        return whole(clip, step, 4)

    def cut_off(*_: object, **__: object) -> None:
        raise CutOff

    tokenizer, text = train_demo_model.train_tokenizer, train_demo_model.text_loss
    monkeypatch.setattr(train_demo_model, "train_tokenizer", lambda: tokenizer(300))
    monkeypatch.setattr(train_demo_model, "text_loss", lambda *given: text(*given[:-1], 4))
    monkeypatch.setattr(train_demo_model, "clip_loss", small)
    monkeypatch.setattr(train_demo_model, "measure_clip", lambda clip: {})
    monkeypatch.setattr(train_demo_model, "train_llava", cut_off)
    work, out = tmp_path / "work", tmp_path / "out"
    arguments = ["--work", str(work), "--out", str(out), "--device", "cpu", "--clip-steps", "2"]
    arguments += ["--text-steps", "1", "--questions-per-kind", "1"]
    with pytest.raises(CutOff):
        train_demo_model.main(arguments)
    assert steps == [0, 1] and not out.exists()

    monkeypatch.setattr(
        train_demo_model,
        "train_llava",
        lambda *given, seed, loaded: train_llava(*given, seed=seed, course=SHORT),
    )
    train_demo_model.main(arguments)
    assert steps == [0, 1], "what was finished before is not trained again"
    assert checkpoint.load(out).template.name == "llava_v0"
    assert "| **all** | **15** |" in (out / "README.md").read_text(encoding="utf-8")
