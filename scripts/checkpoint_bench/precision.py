"""The shipped model at 32, 16, 8 and 4 bits: size, load time, same tokens as float32, and the drawn world's answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from conversations.messages import Message
from model.checkpoint import LoadedModel, load
from model.pixels import pixel_values
from model.prompt import render
from scripts.checkpoint_bench.held_bytes import held_bytes
from scripts.demo_world.candidate import PICTURE_SIZE, answer_all
from scripts.demo_world.examination import Question, mark, questions
from scripts.demo_world.picture import draw

PRECISIONS = (("float32", "none"), ("bfloat16", "none"), ("float32", "8bit"), ("float32", "4bit"))


@dataclass(frozen=True, slots=True)
class Precision:
    """The shipped model as it was loaded once."""

    name: str
    num_bytes: int
    seconds: float
    agreement: float  # of each next token with float32's, after float32's own answer so far
    accuracy: float

    def line(self) -> str:
        return (
            f"| {self.name} | {self.num_bytes / 1e6:.1f} MB | {self.seconds:.2f} s | {100 * self.agreement:.1f} % | "
            f"{100 * self.accuracy:.1f} % |"
        )


def measure_precisions(model: Path, num_per_kind: int) -> Iterator[Precision]:
    asked = list(questions(num_per_kind))
    reference: list[list[int]] = []
    for dtype, quantize in PRECISIONS:
        load(
            model, dtype=dtype, quantize=quantize, device="cpu"
        )  # libraries are imported, files are in memory
        started = time.perf_counter()
        loaded = load(model, dtype=dtype, quantize=quantize, device="cpu")
        seconds = time.perf_counter() - started
        answers = answer_all(loaded, asked)
        marks = mark(asked, answers)
        if not reference:
            reference = [
                _ids(loaded, question, answer) for question, answer in zip(asked, answers, strict=True)
            ]
        right, total = 0, 0
        for question, ids in zip(asked, reference, strict=True):
            same = _agreeing(loaded, question, ids)
            right, total = right + sum(same), total + len(same)
        name = dtype if quantize == "none" else f"{quantize}, the rest {dtype}"
        scored = sum(one.score * one.num_questions for one in marks) / len(asked)
        yield Precision(name, held_bytes(loaded.model), seconds, right / total, scored)


def _prompt(loaded: LoadedModel, messages: Sequence[Message], *, open_turn: bool) -> list[int]:
    return render(
        loaded.template, messages, loaded.tokenizer, num_patches=loaded.num_patches,
        image_token_id=loaded.image_token_id, image_wrap=loaded.image_wrap, open_turn=open_turn,
    ).input_ids  # fmt: skip


def _ids(loaded: LoadedModel, question: Question, answer: str) -> list[int]:
    """The question with float32's answer and its stop, as it would be trained."""
    messages = (*question.messages(), Message("assistant", (answer,)))
    return _prompt(loaded, messages, open_turn=False)


@torch.inference_mode()
def _agreeing(loaded: LoadedModel, question: Question, ids: Sequence[int]) -> list[bool]:
    """Of each token of the answer: is it the one with the highest score here too?"""
    start = len(_prompt(loaded, question.messages(), open_turn=True))
    given = {}
    if question.scene is not None:
        pixels = pixel_values([draw(question.scene, PICTURE_SIZE)], loaded.pixels)
        given["pixel_values"] = pixels.to(loaded.model.dtype)
    scores = loaded.model(input_ids=torch.tensor([ids]), **given).logits[0]
    return (scores[start - 1 : -1].argmax(-1) == torch.tensor(ids[start:])).tolist()
