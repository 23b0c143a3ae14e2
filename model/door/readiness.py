"""Whether the worker can answer yet, and with what. Written by the thread that loads, read by the server's loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from conversations.messages import ImageRef, Message
from model.door.api_error import ApiError
from model.engine.request import Engine


class RenderedPrompt(Protocol):
    """The part of model.prompt.Prompt that the door needs."""

    @property
    def input_ids(self) -> list[int]: ...

    @property
    def loss_mask(self) -> list[bool]: ...

    @property
    def text(self) -> str: ...

    @property
    def images(self) -> tuple[ImageRef, ...]: ...


class Renderer(Protocol):
    """Messages and a system prompt (None: the template's own) -> the prompt; open_turn: ready to be answered."""

    def __call__(
        self, messages: Sequence[Message], system: str | None, *, open_turn: bool = True
    ) -> RenderedPrompt: ...


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is ready: its names, its engine, its renderer, and its tokenizer's pieces (ids -> their texts).

    A picture is `num_patches` times `image_token_id` in a prompt.
    """

    model: str
    template: str
    system: str
    stop: str | None
    context_tokens: int
    about: str
    engine: Engine
    render: Renderer = field(repr=False)
    token_pieces: Callable[[Sequence[int]], Sequence[str]] = field(repr=False)
    image_token_id: int
    num_patches: int


@dataclass(frozen=True, slots=True)
class _Snapshot:
    state: Literal["loading", "ready", "failed"]
    fraction: float
    reason: str | None
    served: Served | None
    is_broken: bool = False


class Readiness:
    """One snapshot, replaced as a whole, so that readers need no lock."""

    def __init__(self, model: str) -> None:
        """`model` is the name to show until the checkpoint itself has been read."""
        self._model = model
        self._lock = threading.Lock()
        self._now = _Snapshot("loading", 0.0, None, None)
        self._on_broken: Callable[[str], object] = lambda reason: None

    def when_broken(self, listener: Callable[[str], object]) -> None:
        """`listener` hears the reason, in whatever thread, when a model that was loaded stops working for good."""
        self._on_broken = listener

    def progress(self, fraction: float, words: str | None = None) -> None:
        """Loading goes on: 0 to 1, never backwards. `words` say more, such as the bytes of a download."""
        with self._lock:
            if self._now.state == "loading":
                fraction = max(self._now.fraction, min(1.0, fraction))
                self._now = _Snapshot("loading", fraction, words, None)

    def ready(self, served: Served) -> None:
        with self._lock:
            if not self._now.is_broken:
                self._now = _Snapshot("ready", 1.0, None, served)

    def failed(self, reason: str) -> None:
        """The model could not be loaded; a broken one stays broken."""
        with self._lock:
            if not self._now.is_broken:
                self._now = _Snapshot("failed", self._now.fraction, reason, None)

    def broken(self, reason: str) -> None:
        """The model was loaded and its engine cannot go on; only a new process helps."""
        with self._lock:
            self._now = _Snapshot("failed", 1.0, reason, None, is_broken=True)
        self._on_broken(reason)

    @property
    def is_broken(self) -> bool:
        return self._now.is_broken

    @property
    def served(self) -> Served:
        """What is served. Raises ApiError (loading, load_failed) while nothing is."""
        now = self._now
        if now.served is not None:
            return now.served
        if now.is_broken:
            raise ApiError(
                503, "shutting_down", now.reason or "The model's engine broke; ask again in a moment."
            )
        if now.state == "failed":
            raise ApiError(503, "load_failed", f"The model could not be loaded: {now.reason}")
        raise ApiError(
            503,
            "loading",
            f"The model is still being loaded ({now.fraction:.0%}); ask again in a moment.",
            fraction=now.fraction,
        )

    @property
    def engine(self) -> Engine | None:
        """The engine, where there is one."""
        return None if self._now.served is None else self._now.served.engine

    def health(self) -> dict[str, Any]:
        """The object that /health answers with."""
        now = self._now
        told: dict[str, Any] = {"state": now.state, "fraction": round(now.fraction, 3), "reason": now.reason}
        served = now.served
        if served is None:
            return {
                **told,
                "model": self._model,
                "template": "",
                "system": "",
                "context_tokens": 0,
                "about": "",
            }
        return {
            **told,
            "model": served.model,
            "template": served.template,
            "system": served.system,
            "context_tokens": served.context_tokens,
            "about": served.about,
            "num_running": served.engine.num_running,
            "num_waiting": served.engine.num_waiting,
            "num_tokens_made": served.engine.num_tokens_made,
        }
