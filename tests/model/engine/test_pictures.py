"""The vision tower's outputs are remembered within bounds, and what was forgotten is encoded again, the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model import checkpoint
from model.checkpoint import LoadedModel
from model.engine.pictures import PictureMemory
from model.engine.slot_engine import SlotEngine
from tests.model.engine.asking import (
    GREEDY,
    all_events,
    ask,
    generated,
    numbered,
    picture,
    text_of,
    without_end,
)
from tests.model.tiny import write_tiny_checkpoint

ONE = 16 * 32 * 4  # patches, numbers a patch, bytes a number
COLOURS = ("red", "green", "blue", "white")
SHORT = replace(GREEDY, max_new_tokens=8)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return checkpoint.load(write_tiny_checkpoint(tmp_path_factory.mktemp("tiny")), device="cpu")


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def memory_of(loaded: LoadedModel, most_bytes: int) -> PictureMemory:
    return PictureMemory(loaded.model, loaded.pixels, most_bytes)


def as_it_is(output: Tensor) -> Tensor:
    return output


def remembered(memory: PictureMemory, colour: str) -> Tensor | None:
    return memory.features(picture(colour).sha256, as_it_is)


def encode(memory: PictureMemory, colour: str) -> Tensor:
    for _ in memory.encode(picture(colour)):
        assert remembered(memory, colour) is None, "not before it is through"
    output = remembered(memory, colour)
    assert output is not None
    return output


def test_what_was_used_last_is_kept_and_the_rest_forgotten(loaded: LoadedModel) -> None:
    memory = memory_of(loaded, 2 * ONE)
    assert encode(memory, "red").numel() * 4 == ONE
    encode(memory, "green")
    assert remembered(memory, "red") is not None, "now it was used after the green one"
    encode(memory, "blue")
    assert remembered(memory, "green") is None
    assert remembered(memory, "red") is not None and remembered(memory, "blue") is not None
    assert (memory.num_remembered, memory.num_encoded) == (2, 3)


def test_what_was_forgotten_is_encoded_again_to_the_same_numbers(loaded: LoadedModel) -> None:
    memory = memory_of(loaded, ONE)
    before = encode(memory, "red").clone()
    assert not torch.equal(encode(memory, "green"), before)
    assert remembered(memory, "red") is None
    assert torch.equal(encode(memory, "red"), before)
    assert memory.num_encoded == 3


def test_the_bytes_are_bounded_however_many_pictures_come(loaded: LoadedModel) -> None:
    for num_kept in (1, 2, 3):
        memory = memory_of(loaded, num_kept * ONE + ONE // 2)
        for colour in COLOURS * 2:
            if remembered(memory, colour) is None:
                encode(memory, colour)
            assert memory.num_remembered <= num_kept
        assert memory.num_remembered == num_kept


def test_one_that_alone_is_too_large_is_kept_until_the_next_one_comes(loaded: LoadedModel) -> None:
    """It is needed now; nobody else's is kept beside it."""
    memory = memory_of(loaded, ONE // 2)
    for colour in COLOURS:
        encode(memory, colour)
        assert memory.num_remembered == 1 and remembered(memory, colour) is not None


def test_answers_are_the_same_where_hardly_any_picture_is_remembered(loaded: LoadedModel) -> None:
    """Also of one question about more pictures than are remembered at a time."""
    requests = [
        ask(loaded, f"Question {number}", *[picture(colour) for colour in colours], sampling=SHORT)
        for number, colours in enumerate([("red",), COLOURS, ("blue", "red"), ("red", "red"), ("green",)])
    ]
    expected = [without_end(loaded, generated(loaded, request)) for request in requests]
    engine = SlotEngine(numbered(loaded), num_slots=1)
    engine._stepper.pictures = memory_of(loaded, ONE)

    async def one_by_one() -> list[str]:
        given = [text_of(await all_events(engine, request)) for request in requests]
        await engine.close()
        return given

    assert asyncio.run(one_by_one()) == expected
    assert engine.numbers().num_pictures_encoded > len(COLOURS), "else nothing was encoded again"
