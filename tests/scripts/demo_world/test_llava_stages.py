"""The shipped model's two stages: parts run by the project's trainer, and a course that goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel, PreTrainedTokenizerFast

from model.llava import Llava
from scripts.demo_world.clip_stage import MEAN, STD
from scripts.demo_world.course import COURSE, Part
from scripts.demo_world.drawn_dataset import DrawnDataset
from scripts.demo_world.llava_stages import train_llava
from scripts.demo_world.patches import PATCH_SIZE, PICTURE_SIZE
from scripts.demo_world.text_stage import language_model
from scripts.demo_world.tokenizer import train_tokenizer
from scripts.train_demo_model import PIXELS

SHORT = (
    Part("align", "captions", 3, 4e-3, 2, num_warmup_steps=1),
    Part("words", "words", 3, 3e-3, 2, num_warmup_steps=1),
    Part("talk", "talk", 4, 1e-3, 2, num_warmup_steps=1, word_weight=0.1),
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(300)


def _untrained(tokenizer: PreTrainedTokenizerFast) -> Llava:
    torch.manual_seed(0)
    vision = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=PICTURE_SIZE,
            patch_size=PATCH_SIZE,
        )
    )  # fmt: skip
    assert PIXELS.mean == MEAN and PIXELS.std == STD
    return Llava.from_parts(
        vision, language_model(tokenizer), projector_type="mlp2x_gelu",
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), template="llava_v0", pixels=PIXELS,
    )  # fmt: skip


def _changed(before: dict[str, torch.Tensor], llava: Llava) -> set[str]:
    """The parts of the model in which something is not as it was."""
    now = llava.state_dict()
    return {name.split(".")[1] for name in before if not torch.equal(before[name], now[name])}


def test_each_part_trains_its_own_and_never_the_tower(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    llava = _untrained(tokenizer)
    seen = []
    for number in range(1, len(SHORT) + 1):
        before = {name: each.clone() for name, each in llava.state_dict().items()}
        train_llava(llava, tokenizer, tmp_path, course=SHORT[:number])
        seen.append(_changed(before, llava) - {"weight"})
    assert seen == [
        {"multi_modal_projector"},
        {"multi_modal_projector"},
        {"multi_modal_projector", "language_model"},
    ]


def test_an_interrupted_course_ends_as_one_that_was_not(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _untrained(tokenizer)
    train_llava(whole, tokenizer, tmp_path / "whole", course=SHORT)

    drawn = DrawnDataset.__getitem__
    num_drawn = 0

    def broken_off(self: DrawnDataset, index: int) -> dict[str, torch.Tensor]:
        nonlocal num_drawn
        num_drawn += 1
        if num_drawn > 15:  # in the last part's second step, of which nothing is saved yet
            raise KeyboardInterrupt
        return drawn(self, index)

    monkeypatch.setattr(DrawnDataset, "__getitem__", broken_off)
    with pytest.raises(KeyboardInterrupt):
        train_llava(_untrained(tokenizer), tokenizer, tmp_path / "cut", course=SHORT)
    monkeypatch.undo()
    again = _untrained(tokenizer)
    train_llava(again, tokenizer, tmp_path / "cut", course=SHORT)
    for (name, one), other in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_the_course_holds_both_stages_and_ends_slowly() -> None:
    assert COURSE[0].lesson == "captions" and COURSE[-1].lesson == "talk"
    assert len({part.name for part in COURSE}) == len(COURSE)
    assert COURSE[-1].last_rate_share <= 0.05
