"""The conversations that are asked: cold ones that share nothing, and their next turns."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image

from conversations.messages import ImageRef, Message
from model.engine.request import GenerationRequest, Picture, SamplingSettings
from model.prompt import render

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel

_LARGEST_PICTURE = 336


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation that waits for an answer. `pictures` by the SHA-256 that the messages name."""

    system: str
    messages: tuple[Message, ...]
    pictures: Mapping[str, Picture]

    def answered(self, answer: str, question: str) -> Talk:
        """The same one a turn later."""
        turns = (Message("assistant", (answer,)), Message("user", (question,)))
        return replace(self, messages=self.messages + turns)


class Talks:
    """Makes talks for one model. The same seed gives the same ones."""

    def __init__(self, loaded: LoadedModel, seed: int = 0) -> None:
        self._loaded = loaded
        self._random = random.Random(seed)
        names = loaded.tokenizer.get_vocab()
        self._words = sorted(
            name[1:] for name in names if len(name) > 3 and name[0] == "▁" and name[1:].isalpha()
        )

    def words(self, num_words: int) -> str:
        """So many words, each one token, drawn anew every time."""
        return " ".join(self._random.choices(self._words, k=num_words))

    def picture(self) -> Picture:
        """A picture that was never seen before."""
        size = self._loaded.pixels.size
        noise = Image.frombytes("RGB", (12, 12), self._random.randbytes(12 * 12 * 3))
        image = noise.resize((min(size, _LARGEST_PICTURE),) * 2, Image.Resampling.BICUBIC)
        return Picture(hashlib.sha256(image.tobytes()).hexdigest(), image)

    def cold(self, num_tokens: int = 0, pictures: tuple[Picture, ...] | None = None) -> Talk:
        """A first turn that shares no more than its first token with any other: its system text begins with other
        words. `pictures` None is one new picture. Filled up with words to about `num_tokens` tokens (never less)."""
        shown = (self.picture(),) if pictures is None else pictures
        content: tuple[str | ImageRef, ...] = (
            *(ImageRef(picture.sha256) for picture in shown),
            self.words(6),
        )
        talk = Talk(
            self.words(4), (Message("user", content),), {picture.sha256: picture for picture in shown}
        )
        missing = num_tokens - len(self.request(talk, 1).input_ids)
        return replace(talk, system=f"{talk.system} {self.words(missing)}") if missing > 0 else talk

    def request(self, talk: Talk, answer_tokens: int, stop: tuple[str, ...] = ()) -> GenerationRequest:
        """What an engine is asked: greedy, without stop texts where none are given."""
        loaded = self._loaded
        prompt = render(
            loaded.template,
            talk.messages,
            loaded.tokenizer,
            num_patches=loaded.num_patches,
            image_token_id=loaded.image_token_id,
            system=talk.system,
            image_wrap=loaded.image_wrap,
        )
        return GenerationRequest(
            loaded.name,
            tuple(prompt.input_ids),
            tuple(talk.pictures[image.sha256] for image in prompt.images),
            SamplingSettings(temperature=0.0, top_p=1.0, max_new_tokens=answer_tokens, stop=stop),
        )


def as_png(picture: Picture) -> bytes:
    """What a client sends."""
    data = io.BytesIO()
    picture.image.save(data, "PNG")
    return data.getvalue()
