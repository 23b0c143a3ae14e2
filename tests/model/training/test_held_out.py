"""Held-out questions: which are asked, and that the answers are the model's own greedy ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from conversations.examples import Example
from conversations.messages import ImageRef, Message
from model import checkpoint
from model.checkpoint import LoadedModel
from model.training.config import DataSource, TrainingConfig
from model.training.features import PixelSource
from model.training.held_out import SPARE_TOKENS, answers, questions
from model.training.rendering import Rendering

PICTURE = ImageRef("a" * 64)


def example_of(name: str, num_answers: int, *, picture: bool = False) -> Example:
    messages = []
    for number in range(num_answers):
        parts = (PICTURE, f"{name}{number}?") if picture and number == 0 else (f"{name}{number}?",)
        messages += [Message("user", parts), Message("assistant", (f" {name}{number}! ",))]
    return Example(name, tuple(messages))


def test_first_answers_come_before_second_ones() -> None:
    asked = questions([example_of("a", 3), example_of("b", 1), example_of("c", 2)], most=5)
    assert [(each.question, each.right) for each in asked] == [
        ("a0?", "a0!"), ("b0?", "b0!"), ("c0?", "c0!"), ("a1?", "a1!"), ("c1?", "c1!")
    ]  # fmt: skip
    assert [len(each.example.messages) for each in asked] == [1, 1, 1, 3, 3]
    assert questions([], most=5) == []


@pytest.fixture(scope="module")
def loaded(base_model: Path) -> LoadedModel:
    return checkpoint.load(str(base_model), device="cpu")


def test_answers_are_greedy_and_cut_at_the_templates_stop(tmp_path: Path, loaded: LoadedModel) -> None:
    file = tmp_path / "0.png"
    Image.new("RGB", (40, 30), (200, 30, 60)).save(file)
    rendering = Rendering.of(loaded, TrainingConfig("lora", "m", (DataSource("x"),)))
    asked = questions([example_of("a", 2, picture=True), example_of("b", 1)], most=9)
    source = PixelSource([file], loaded.pixels)
    loaded.model.train()
    progress: list[float] = []
    given = list(answers(loaded, rendering, asked, source, {PICTURE.sha256: 0}, progress.append))
    assert loaded.model.training
    loaded.model.eval()
    assert progress == [0.0, 1 / 3, 2 / 3]
    for question, answer in zip(asked, given, strict=True):
        prompt = rendering.prompt(question.example, open_turn=True)
        ids = torch.tensor([prompt.input_ids])
        pixels = {"pixel_values": source.get([0])} if prompt.images else {}
        num_right = len(loaded.tokenizer(question.right, add_special_tokens=False).input_ids)
        written = loaded.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=num_right + SPARE_TOKENS,
            do_sample=False, **pixels,
        )[0, len(prompt.input_ids) :].tolist()  # fmt: skip
        whole = loaded.tokenizer.decode(written, skip_special_tokens=True)
        assert answer == whole.split("###")[0].strip()
    # Whatever the template's stop is, nothing of it or behind it is part of the answer.
    stop = given[0][len(given[0]) // 2]
    stopped = replace(rendering, template=replace(rendering.template, stop=stop))
    again = list(answers(loaded, stopped, asked[:1], source, {PICTURE.sha256: 0}, progress.append))
    assert again == [given[0].split(stop)[0].strip()]


def test_a_picture_that_cannot_be_read_has_no_answer(tmp_path: Path, loaded: LoadedModel) -> None:
    rendering = Rendering.of(loaded, TrainingConfig("lora", "m", (DataSource("x"),)))
    asked = questions([example_of("a", 1, picture=True)], most=1)
    source = PixelSource([tmp_path / "gone.png"], loaded.pixels)
    assert list(answers(loaded, rendering, asked, source, {PICTURE.sha256: 0}, lambda _: None)) == [""]
