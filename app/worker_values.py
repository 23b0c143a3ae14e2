"""What the page says to a worker and hears from it: plain frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from conversations.messages import Message


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question with everything before it.

    `messages` alternate user and assistant and end with the user's. `model` "" means whatever the worker serves first.
    `system_prompt` None means the template's own. `seed` None lets the worker draw one. `top_k` 0 is off. `stop`
    are texts to end at, none empty, beside the template's own.
    """

    messages: tuple[Message, ...]
    model: str = ""
    system_prompt: str | None = None
    temperature: float = 0.2
    top_p: float = 0.7
    max_new_tokens: int = 512
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_k: int = 0


@dataclass(frozen=True, slots=True)
class ServerFeatures:
    """What a server offers beside plain answers.

    `seed`, `top_k`, `stop`: it takes these settings; `prompt`: it shows what the model reads; `adapters`: they can be
    loaded and unloaded; `health`: it tells how its loading goes and what the model knows.
    """

    seed: bool = True
    top_k: bool = False
    stop: bool = False
    prompt: bool = False
    adapters: bool = False
    health: bool = False


@dataclass(frozen=True, slots=True)
class Phase:
    """What the worker is doing. `position` is the place in the queue (1 = next), 0 when not queued."""

    phase: Literal["queued", "reading", "answering"]
    position: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing came for a moment, but the call is alive: a chance to notice Stop."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole. Counts are None where the server does not tell them."""

    reason: Literal["stop", "length"]
    num_prompt_tokens: int | None = None
    num_completion_tokens: int | None = None


WorkerEvent = Phase | Heartbeat | Piece | Finished


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """What a worker says about itself. A server without our /health is "ready" once it lists a model.

    `fraction` of the loading done, 0 to 1; `reason` why it failed; `template`, `system` (the template's own system
    prompt), `context_tokens` and `about` (one sentence on what the model knows) are None where the server does not
    tell. `model` is "" where a server answers without telling a name; `models` are all that can be asked for, that one
    first, adapters included.
    """

    state: Literal["loading", "ready", "failed"]
    fraction: float = 1.0
    reason: str | None = None
    model: str = ""
    template: str | None = None
    system: str | None = None
    context_tokens: int | None = None
    about: str | None = None
    models: tuple[str, ...] = ()
    features: ServerFeatures = ServerFeatures()


@dataclass(frozen=True, slots=True)
class ModelPrompt:
    """What a conversation becomes for the model. `token_ids`, `tokens` (their texts) and `mask` are equally long.

    `mask` is True where a token is trained; a picture is `tokens_per_picture` times `image_token_id`. `context_tokens`
    is how many the model reads at most.
    """

    text: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    mask: tuple[bool, ...]
    image_token_id: int
    tokens_per_picture: int
    context_tokens: int | None = None
    model: str = ""
    template: str = ""
