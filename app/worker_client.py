"""Speaks the OpenAI chat-completions protocol to any worker: ours, or any other server of that protocol.

Synchronous, for the page's thread-pool generators. What our worker says beside the protocol (SSE comments with the
phase, /health, /v1/prompt) is used where it is there and done without where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from app.answer_cut import AnswerCut
from app.chat_body import chat_body, message_objects
from app.chunk_reader import ChunkReader, count
from app.event_stream import EventStream
from app.server_features import described_features, refused_field, told_features
from app.whole_text import whole_text
from app.worker_calls import WorkerCalls
from app.worker_errors import (
    ContextTooLong,
    ModelNotFound,
    PictureNotAccepted,
    WorkerBusy,
    WorkerDied,
    WorkerEnding,
    WorkerError,
    WorkerLoadFailed,
    WorkerLoading,
    WorkerOutOfMemory,
    WorkerProtocolError,
    WorkerRefused,
    WorkerTimeout,
    WorkerUnauthorized,
    WorkerUnreachable,
)
from app.worker_values import (
    ChatRequest,
    Finished,
    Heartbeat,
    ModelPrompt,
    Phase,
    Piece,
    ServerFeatures,
    WorkerEvent,
    WorkerHealth,
)
from conversations.messages import Message

__all__ = [
    "ChatRequest", "ContextTooLong", "Finished", "Heartbeat", "ModelNotFound", "ModelPrompt", "Phase",
    "PictureNotAccepted", "Piece", "ServerFeatures", "WorkerBusy", "WorkerClient", "WorkerDied", "WorkerEnding",
    "WorkerError", "WorkerEvent", "WorkerHealth", "WorkerLoadFailed", "WorkerLoading", "WorkerOutOfMemory",
    "WorkerProtocolError", "WorkerRefused", "WorkerTimeout", "WorkerUnauthorized", "WorkerUnreachable",
]  # fmt: skip

HEARTBEAT_SECONDS = 0.25


class WorkerClient:
    """One worker's address and token.

    `data_url` turns a stored picture's SHA-256 into a data URL (ImageStore.data_url); needed as soon as a message has a
    picture. `silence_seconds` is how long the worker may send no byte at all. Any number of threads may use a client:
    all that it keeps is what it has learnt of its server.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        data_url: Callable[[str], str] | None = None,
        connect_seconds: float = 5.0,
        silence_seconds: float = 60.0,
    ) -> None:
        self._calls = WorkerCalls(
            base_url, token, connect_seconds=connect_seconds, silence_seconds=silence_seconds
        )
        self.base_url = self._calls.base_url
        self._data_url = data_url
        self._known: tuple[tuple[str, ...], ServerFeatures] | None = (
            None  # of another server: its models, and these
        )
        self._is_ours = False
        self._refused: frozenset[str] = frozenset()  # fields that the server has refused

    def health(self, timeout_seconds: float = 10.0) -> WorkerHealth:
        """What the worker says about itself. Raises WorkerUnreachable, WorkerTimeout, WorkerUnauthorized."""
        try:
            told = self._calls.get("/health", timeout_seconds)
        except (WorkerRefused, WorkerProtocolError):
            told = None  # not our worker: another server may lack /health, or answer it in its own way
        self._is_ours = isinstance(told, dict) and told.get("state") in ("loading", "ready", "failed")
        if self._is_ours and isinstance(told, dict):
            return _health(told)
        try:
            names = self.models(timeout_seconds)
        except (WorkerUnauthorized, WorkerProtocolError):
            raise
        except WorkerRefused as refused:
            if told is None:
                return WorkerHealth("loading", fraction=0.0, reason=refused.message)
            names = ()  # it is well and cannot list: transformers serve on a machine without any cached model
        if not names and told is None:
            return WorkerHealth("failed", reason="The server lists no model; load one there.")
        features = self._described(names, timeout_seconds)
        return WorkerHealth("ready", model=names[0] if names else "", models=names, features=features)

    def models(self, timeout_seconds: float = 10.0) -> tuple[str, ...]:
        """The names of the models served, the default one first. Raises a WorkerError."""
        told = self._calls.get("/v1/models", timeout_seconds)
        entries = told.get("data") if isinstance(told, dict) else None
        if not isinstance(entries, list):
            raise WorkerProtocolError(self.base_url, "/v1/models gives no list")
        return tuple(
            whole_text(entry["id"])
            for entry in entries
            if isinstance(entry, dict) and isinstance(entry.get("id"), str)
        )

    def stream(self, request: ChatRequest) -> Iterator[WorkerEvent]:
        """The answer as it is made. Closing the iterator closes the connection, which stops the generation.

        Yields at least every 0.25 s (a Heartbeat where nothing came), Finished last. Raises a WorkerError.
        """
        health = self._probed() if not request.model or (self._known is None and not self._is_ours) else None
        model = request.model or (health.model if health else "")
        features = ServerFeatures(seed=True, top_k=True, stop=True) if self._is_ours else self._features
        while True:
            body = chat_body(request, model, features, self._data_url, self._refused)
            try:
                yield from self._answered(body, request.stop)
                return
            except WorkerRefused as refused:
                unwanted = refused_field(refused, body)
                if unwanted is None or self._is_ours:
                    raise
                self._refused |= {unwanted}

    def prompt(
        self,
        messages: Sequence[Message],
        *,
        model: str = "",
        system_prompt: str | None = None,
        timeout_seconds: float = 30.0,
    ) -> ModelPrompt:
        """What a conversation becomes for the model; one that ends with an answer is shown as it is trained on.

        Raises a WorkerError; WorkerRefused where the server lacks this (ServerFeatures.prompt).
        """
        body: dict[str, Any] = {"messages": message_objects(messages, system_prompt, self._data_url)}
        told = self._calls.post("/v1/prompt", body | ({"model": model} if model else {}), timeout_seconds)
        try:
            return _prompt(told)
        except (KeyError, TypeError, ValueError) as error:
            raise WorkerProtocolError(self.base_url, "/v1/prompt gives no prompt") from error

    def load_adapter(
        self, name: str, path: str, *, replace: bool = False, timeout_seconds: float = 120.0
    ) -> None:
        """Make an adapter a model that can be asked for; `path` lies below the worker's --adapter-root, and `replace`
        puts it in place of one of that name. Raises a WorkerError."""
        body: dict[str, Any] = {"lora_name": name, "lora_path": path}
        self._calls.post_for_words(
            "/v1/load_lora_adapter", body | ({"load_inplace": True} if replace else {}), timeout_seconds
        )

    def unload_adapter(self, name: str, *, timeout_seconds: float = 120.0) -> None:
        """Take it away again. Raises a WorkerError."""
        self._calls.post_for_words("/v1/unload_lora_adapter", {"lora_name": name}, timeout_seconds)

    @property
    def _features(self) -> ServerFeatures:
        """Of another server, without what it has refused."""
        features = self._known[1] if self._known is not None else ServerFeatures()
        return replace(features, seed=features.seed and "seed" not in self._refused)

    def _probed(self) -> WorkerHealth | None:
        """Its health, where it tells; the request itself will tell what is wrong otherwise."""
        try:
            return self.health()
        except (WorkerRefused, WorkerProtocolError):
            return None

    def _described(self, names: tuple[str, ...], timeout_seconds: float) -> ServerFeatures:
        """What another server offers; asked anew when it lists other models, since then it may be another one."""
        if self._known is None or self._known[0] != names:
            try:
                features = described_features(self._calls.get("/openapi.json", timeout_seconds))
            except (WorkerRefused, WorkerProtocolError):
                features = ServerFeatures()
            self._known, self._refused = (names, features), frozenset()
        return self._features

    def _answered(self, body: dict[str, Any], stops: Sequence[str]) -> Iterator[WorkerEvent]:
        client, call = self._calls.chat(body)
        cut = None if self._is_ours else AnswerCut(() if "stop" in body else stops)
        with EventStream(self.base_url, client, call) as stream:
            lines = self._taken(stream.lines(HEARTBEAT_SECONDS))
            yield from ChunkReader(self.base_url, cut).events(lines)

    def _taken(self, lines: Iterator[str | httpx.Response | None]) -> Iterator[str | None]:
        """The lines of a request that was taken. Raises the refusal otherwise."""
        for line in lines:
            if isinstance(line, httpx.Response):
                raise self._calls.refusal(line)
            yield line


def _health(told: Mapping[str, Any]) -> WorkerHealth:
    def text(key: str) -> str | None:
        return whole_text(told[key]) if isinstance(told.get(key), str) else None

    fraction, adapters, model = told.get("fraction"), told.get("adapters"), text("model") or ""
    names = (
        [whole_text(name) for name in adapters if isinstance(name, str)] if isinstance(adapters, list) else []
    )
    return WorkerHealth(
        state=told["state"],
        fraction=float(fraction) if isinstance(fraction, int | float) else 0.0,
        reason=text("reason"),
        model=model,
        template=text("template"),
        system=text("system"),
        context_tokens=count(told, "context_tokens"),
        about=text("about"),
        models=(model, *names) if model else (),
        features=told_features(told.get("features")),
    )


def _prompt(told: Any) -> ModelPrompt:
    """Raises KeyError, TypeError or ValueError for what is no prompt."""
    prompt = ModelPrompt(
        text=whole_text(told["prompt"]),
        token_ids=tuple(int(each) for each in told["token_ids"]),
        tokens=tuple(whole_text(each) for each in told["tokens"]),
        mask=tuple(bool(each) for each in told["mask"]),
        image_token_id=int(told["image_token_id"]),
        tokens_per_picture=int(told["tokens_per_picture"]),
        context_tokens=count(told, "context_tokens"),
        model=whole_text(str(told.get("model") or "")),
        template=whole_text(str(told.get("template") or "")),
    )
    if not len(prompt.token_ids) == len(prompt.tokens) == len(prompt.mask):
        raise ValueError("its lists differ in length")
    return prompt
