"""The seam between the server and whatever makes the tokens: values in, a stream of events out. No torch here.

A server builds a GenerationRequest and reads events; an engine takes one and yields them. Replacing the engine touches
neither the server nor the page.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from PIL import Image

from model.engine.numbers import EngineNumbers

MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How tokens are drawn and when the answer ends; checked when built.

    `temperature` 0 is greedy; `top_k` keeps the likeliest tokens (0: all), `top_p` of those the smallest set whose
    probabilities reach it; `stop` are texts at which the answer ends (they are not part of it); `seed` None draws one.
    """

    temperature: float = 0.2
    top_p: float = 0.7
    max_new_tokens: int = 512
    stop: tuple[str, ...] = ()
    seed: int | None = None
    top_k: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 2.0:
            raise ValueError(f"temperature is {self.temperature}; it must be from 0 to 2")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; it must be 0 (off) or more")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1")
        if any(not text for text in self.stop):
            raise ValueError("a stop text is empty; leave it out or give it at least one character")
        if self.seed is not None and not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed is {self.seed}; it must be from 0 to {MAX_SEED}")


@dataclass(frozen=True, slots=True)
class Picture:
    """A checked, upright RGB picture. `sha256` names its content, so that an engine may remember its features."""

    sha256: str
    image: Image.Image = field(repr=False)


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One answer to make.

    `model` names the base model or one of the engine's adapters; `input_ids` is the whole prompt with every image token
    expanded; `pictures` are in the order of their image tokens.
    """

    model: str
    input_ids: tuple[int, ...]
    pictures: tuple[Picture, ...]
    sampling: SamplingSettings


@dataclass(frozen=True, slots=True)
class Waiting:
    """Others are before this request; `position` 1 is next, unless somebody comes who has less to be read.

    Sent again whenever the position changes.
    """

    position: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The prompt and its pictures are being read."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that is final: whole characters, never the beginning of a stop text."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole: "stop" (a stop text or the end of sequence) or "length" (the token limit)."""

    reason: Literal["stop", "length"]
    num_prompt_tokens: int
    num_completion_tokens: int


Event = Waiting | Reading | Piece | Finished


class Engine(Protocol):
    """Makes answers. Raises an EngineError out of the stream when it cannot; a refusal before the first event."""

    @property
    def num_running(self) -> int:
        """Answers being made right now."""

    @property
    def num_waiting(self) -> int:
        """Requests in line."""

    @property
    def num_tokens_made(self) -> int:
        """All tokens ever drawn: it stands still when nothing is generated."""

    def numbers(self) -> EngineNumbers:
        """What was done and is held, all of one moment."""

    @property
    def adapters(self) -> tuple[str, ...]:
        """The names of the loaded adapters, in the order in which they came; the base model is not among them."""

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Makes `name` a model that requests may ask for, in place of one of that name. Raises AdapterError."""

    async def unload_adapter(self, name: str) -> None:
        """Frees it; requests that are on their way with it are answered first. Raises UnknownAdapter."""

    def check_room(self) -> None:
        """Raises QueueFull, EngineClosed or EngineBroken where any request would be refused now; never waits."""

    def stream(self, request: GenerationRequest) -> AsyncGenerator[Event]:
        """The events of one answer, Finished last. Closing the generator cancels within one token."""

    async def close(self, reason: str = "the worker is shutting down") -> None:
        """Ends everything that runs, each with EngineClosed and the reason, and frees the engine's thread."""
