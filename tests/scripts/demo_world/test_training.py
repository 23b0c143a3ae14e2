"""The demo model's training: what is rendered is what chat renders, and an interrupted stage ends as a whole one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from conversations.template import TEMPLATES
from model.prompt import render
from model.training.dataset import IGNORED
from scripts.demo_world.drawn_dataset import collate_with_phrases, item_of
from scripts.demo_world.patches import GRID, patch_phrases, patch_texts
from scripts.demo_world.samples import picture_sample, small_talk_sample, text_sample
from scripts.demo_world.scene import sample_scene
from scripts.demo_world.stage import Schedule, run_stage
from scripts.demo_world.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(300)


@given(text=st.text())
def test_any_text_survives_the_tokenizer(tokenizer, text: str) -> None:
    ids = tokenizer(text, split_special_tokens=True, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == text.replace("▁", " ")
    assert tokenizer.unk_token_id not in ids


def test_the_world_s_words_are_single_tokens(tokenizer) -> None:
    for word in (" red", " circle", " triangle", " left", " many", " picture", " removed"):
        assert len(tokenizer(word, add_special_tokens=False).input_ids) == 1, word


def test_only_answers_and_their_stop_are_learned(tokenizer) -> None:
    sample = picture_sample(3, how_many=4)
    item = item_of(sample, "llava_v0", tokenizer, gap_seed="1")
    learned = tokenizer.decode(item["labels"][item["labels"] != IGNORED])
    answers = [message.text for message in sample.messages if message.role == "assistant"]
    assert learned == "".join(f" {answer}###" for answer in answers)


def test_every_picture_place_gets_a_picture(tokenizer) -> None:
    samples = [picture_sample(seed, how_many=5) for seed in range(20)] + [text_sample(1, how_many=3)]
    batch = collate_with_phrases([item_of(each, "llava_v0", tokenizer, gap_seed="1") for each in samples])
    places = int((batch["input_ids"] == tokenizer.convert_tokens_to_ids("<image>")).sum())
    assert places == len(batch["pixel_values"]) * GRID * GRID == batch["phrases"].numel()
    assert any(len(sample.scenes) == 2 for sample in samples)


def test_a_sample_is_rendered_as_chat_renders_it(tokenizer) -> None:
    sample = small_talk_sample(5)
    item = item_of(sample, "llava_v0", tokenizer, gap_seed="1")
    asked = render(
        TEMPLATES["llava_v0"], sample.messages[:-1], tokenizer, num_patches=1, image_token_id=3
    ).input_ids
    assert item["input_ids"][: len(asked)].tolist() == asked


def test_positions_only_ever_grow(tokenizer) -> None:
    items = [
        item_of(text_sample(seed, how_many=4), "llava_v0", tokenizer, gap_seed=str(seed))
        for seed in range(12)
    ]
    steps = torch.cat([item["position_ids"].diff() for item in items])
    assert int(steps.min()) == 1 and int(steps.max()) > 1


@given(seed=st.integers(0, 10**9))
def test_each_thing_has_one_patch_that_says_it_is_the_middle(seed: int) -> None:
    scene = sample_scene(seed)
    named = [patch_texts()[phrase] for phrase in patch_phrases(scene)]
    assert sum(text.startswith("the middle of") for text in named) == len(scene.things)


@pytest.mark.parametrize("cut_at", [3, 5, 8])
def test_an_interrupted_stage_ends_as_one_that_was_not(tmp_path: Path, cut_at: int, monkeypatch) -> None:
    monkeypatch.setattr("scripts.demo_world.stage.SAVE_EVERY_STEPS", 2)
    whole, cut = _line(), _line()
    schedule = Schedule(10, 0.1, 2, 0.01)
    run_stage("line", tmp_path / "whole", whole, schedule, lambda step: _miss(whole, step))

    def interrupted(step: int) -> torch.Tensor:
        if step == cut_at:
            raise KeyboardInterrupt
        return _miss(cut, step)

    with pytest.raises(KeyboardInterrupt):
        run_stage("line", tmp_path / "cut", cut, schedule, interrupted)
    cut = _line()
    run_stage("line", tmp_path / "cut", cut, schedule, lambda step: _miss(cut, step))
    assert torch.equal(whole.weight, cut.weight)


def _line() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 1)


def _miss(line: nn.Linear, step: int) -> torch.Tensor:
    points = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
    return ((line(points) - points.sum(-1, keepdim=True)) ** 2).mean()
