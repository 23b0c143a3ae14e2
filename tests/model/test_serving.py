"""What the worker was told to load is what it serves, and why not is told in words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from model.door.readiness import Readiness
from model.serving import ModelChoice, load_in_background
from tests.model.checkpoint.made import write_parts, write_projector


def served(choice: ModelChoice) -> Readiness:
    readiness = Readiness(choice.model)
    load_in_background(choice, readiness).join()
    return readiness


@pytest.mark.parametrize("quantize", ["none", "4bit"])
def test_a_partial_checkpoint_is_served_with_what_completes_it(tmp_path: Path, quantize: str) -> None:
    parts = tmp_path / "parts"
    write_projector(parts / "projector", write_parts(parts), parts / "full")
    choice = ModelChoice(
        str(parts / "projector"),
        device="cpu",
        model_base=str(parts / "base"),
        vision_tower=str(parts / "tower"),
        quantize=quantize,
    )
    readiness = served(choice)
    health = readiness.health()
    assert (health["state"], health["model"], health["template"]) == ("ready", "projector", "llava_v1"), (
        health
    )
    assert readiness.engine is not None
    asyncio.run(readiness.engine.close())


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    write_projector(parts / "projector", write_parts(parts), parts / "full")
    health = served(ModelChoice(str(parts / "projector"), device="cpu")).health()
    assert health["state"] == "failed"
    assert "it was made on org/base; give that model with --model-base" in health["reason"]


def test_a_name_that_is_neither_a_folder_nor_on_the_hub_is_told(tmp_path: Path) -> None:
    for name, said in (
        (str(tmp_path / "none"), "or a name on the Hub"),
        ("org/none", "the Hub cannot be reached"),
    ):
        health = served(ModelChoice(name, device="cpu")).health()
        assert health["state"] == "failed"
        assert f"There is no folder {name}" in health["reason"] and said in health["reason"]


def test_the_words_of_a_download_are_shown_while_it_lasts() -> None:
    readiness = Readiness("a/b")
    readiness.progress(0.3, "Downloading a/b: 1.2 of 13.1 GB, 4 min left")
    assert readiness.health()["reason"] == "Downloading a/b: 1.2 of 13.1 GB, 4 min left"
    readiness.progress(0.4)
    assert readiness.health()["reason"] is None
