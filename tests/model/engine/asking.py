"""What the engine's tests share: a tiny real network, requests to ask it, and what `generate` would have said."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image

from conversations.messages import Content, ImageRef, Message
from model.checkpoint import LoadedModel
from model.engine.request import Event, GenerationRequest, Picture, Piece, SamplingSettings
from model.engine.slot_engine import SlotEngine
from model.engine.token_text import TokenText
from model.pixels import pixel_values
from model.prompt import render

GREEDY = SamplingSettings(temperature=0.0, max_new_tokens=24)
DRAWN = SamplingSettings(temperature=1.0, top_p=0.9, max_new_tokens=24, seed=7)
LONG = SamplingSettings(temperature=0.0, max_new_tokens=1500)


def picture(colour: str = "red") -> Picture:
    """A plain picture, named by its content as the door names it."""
    image = Image.new("RGB", (48, 40), colour)
    return Picture(hashlib.sha256(image.tobytes()).hexdigest(), image)


def asked(
    loaded: LoadedModel,
    turns: Sequence[Content],
    pictures: Sequence[Picture] = (),
    sampling: SamplingSettings = GREEDY,
    model: str | None = None,
) -> GenerationRequest:
    """A conversation: user's and assistant's turns by turns, the last one the user's; pictures in their order."""
    messages = [Message("assistant" if place % 2 else "user", content) for place, content in enumerate(turns)]
    prompt = render(
        loaded.template,
        messages,
        loaded.tokenizer,
        num_patches=loaded.num_patches,
        image_token_id=loaded.image_token_id,
    )
    return GenerationRequest(model or loaded.name, tuple(prompt.input_ids), tuple(pictures), sampling)


def ask(
    loaded: LoadedModel,
    question: str,
    *pictures: Picture,
    sampling: SamplingSettings = GREEDY,
    model: str | None = None,
) -> GenerationRequest:
    """One question about some pictures."""
    content: Content = (*(ImageRef(each.sha256) for each in pictures), question)
    return asked(loaded, [content], pictures, sampling, model)


async def all_events(engine: SlotEngine, request: GenerationRequest) -> list[Event]:
    return [event async for event in engine.stream(request)]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


def answer(engine: SlotEngine, request: GenerationRequest) -> str:
    return text_of(asyncio.run(all_events(engine, request)))


def answers(engine: SlotEngine, requests: Sequence[GenerationRequest]) -> list[str]:
    """Asked at once, in this order."""

    async def together() -> list[str]:
        ended = await asyncio.gather(*(all_events(engine, request) for request in requests))
        return [text_of(events) for events in ended]

    return asyncio.run(together())


def generated(loaded: LoadedModel, request: GenerationRequest, model: Any = None) -> list[int]:
    """transformers' own greedy continuation."""
    images = [each.image for each in request.pictures]
    pixels = {"pixel_values": pixel_values(images, loaded.pixels)} if images else {}
    with torch.inference_mode():
        output = (model or loaded.model).generate(
            input_ids=torch.tensor([request.input_ids]),
            attention_mask=torch.ones(1, len(request.input_ids), dtype=torch.long),
            **pixels,
            do_sample=False,
            max_new_tokens=request.sampling.max_new_tokens,
            pad_token_id=0,
        )
    return list(output[0, len(request.input_ids) :].tolist())


def spelled(loaded: LoadedModel, ids: Sequence[int]) -> str:
    """Ids as text, without the broken characters that random weights write."""
    token_text = TokenText(loaded.tokenizer)
    return "".join(map(token_text.feed, ids)) + token_text.rest()


def generated_text(loaded: LoadedModel, request: GenerationRequest, model: Any = None) -> str:
    return spelled(loaded, generated(loaded, request, model))


class NumberSpeller:
    """A tokenizer's decoding half that spells every token as its number, so that an answer's text says its ids."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.eos_token_id = loaded.tokenizer.eos_token_id

    def decode(self, token_ids: Sequence[int], **_: bool) -> str:
        return "".join(f"{token_id}," for token_id in token_ids)


def numbered(loaded: LoadedModel) -> LoadedModel:
    """The same network, answering in numbers."""
    return replace(loaded, tokenizer=NumberSpeller(loaded))


def without_end(loaded: LoadedModel, ids: Sequence[int]) -> str:
    """Ids as NumberSpeller writes them; the end of sequence is no part of an answer."""
    return "".join(f"{token_id}," for token_id in ids if token_id != loaded.tokenizer.eos_token_id)


def missing_to_the_likeliest(
    loaded: LoadedModel, request: GenerationRequest, answered: str, model: Any = None
) -> float:
    """How far an answer's tokens, in NumberSpeller's writing, are from greedy by transformers' own scores, at most: as
    a share of the distance between the largest and the smallest score of that place.

    For networks that round: sums in another order round otherwise, and either of two nearly equal scores is larger.
    """
    ids = [int(number) for number in answered.split(",")[:-1]]
    tokens = torch.tensor([[*request.input_ids, *ids]])
    images = [each.image for each in request.pictures]
    pixels = {"pixel_values": pixel_values(images, loaded.pixels)} if images else {}
    with torch.inference_mode():
        whole = (model or loaded.model)(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), **pixels
        ).logits
    scores = whole[0, len(request.input_ids) - 1 : -1].float()  # [len(ids), V]
    largest = scores.amax(-1)
    missing = largest - scores[range(len(ids)), ids]
    return float((missing / (largest - scores.amin(-1))).max())


@dataclass(frozen=True)
class Talk:
    """A conversation whose last turn is the user's; `pictures` in their order."""

    turns: tuple[Content, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def num_questions(self) -> int:
        return (len(self.turns) + 1) // 2

    def with_question(self, text: str, pictures: Sequence[Picture], place: int, reply: str) -> Talk:
        """One question more, its text behind so many of its pictures; what was asked before is answered by `reply`."""
        parts: list[str | ImageRef] = [ImageRef(each.sha256) for each in pictures]
        parts.insert(place, text)
        answered: tuple[Content, ...] = ((reply,),) if self.turns else ()
        return Talk((*self.turns, *answered, tuple(parts)), (*self.pictures, *pictures))


def conversations(number: int) -> list[Talk]:
    """Random ones of 1 to 6 questions, as many of each; a third without pictures, the others with 1 to 3 anywhere.

    Many go on where another one ended.
    """
    chance = random.Random(5)
    talks: list[Talk] = []
    for place in range(number):
        num_questions, num_pictures = 1 + place % 6, place // 6 % 3 and chance.randint(1, 3)
        talk = chance.choice([Talk(), *_beginnings(talks, num_questions, num_pictures) * 3])
        while talk.num_questions < num_questions:
            left = num_pictures - len(talk.pictures)
            is_last = talk.num_questions == num_questions - 1
            talk = _asked_on(talk, left if is_last else chance.randint(0, left), chance)
        talks.append(talk)
    return talks


def _beginnings(talks: Sequence[Talk], num_questions: int, num_pictures: int) -> list[Talk]:
    """Those that can be gone on with to so many of both."""
    return [
        each for each in talks if each.num_questions < num_questions and len(each.pictures) <= num_pictures
    ]


def _asked_on(talk: Talk, num_pictures: int, chance: random.Random) -> Talk:
    pictures = [picture(chance.choice(["red", "green", "blue", "white"])) for _ in range(num_pictures)]
    text = " ".join(chance.choice(["What", "is", "the", "red", "one", "###", "?"]) for _ in range(6))
    reply = chance.choice(["A cat.", "Two things", "No, it is not the same."])
    return talk.with_question(text, pictures, chance.randint(0, num_pictures), reply)
