"""Speaks the OpenAI chat-completions protocol to any worker: ours, or any other server of that protocol.

Synchronous, for the page's thread-pool generators. What our worker says beside the protocol (SSE comments with the
phase, /health) is used where it is there and done without where it is not.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from app.event_stream import EventStream, as_worker_error
from app.whole_text import WholePieces, whole_text
from app.worker_errors import (
    ContextTooLong,
    ModelNotFound,
    PictureNotAccepted,
    WorkerBusy,
    WorkerDied,
    WorkerError,
    WorkerLoadFailed,
    WorkerLoading,
    WorkerOutOfMemory,
    WorkerProtocolError,
    WorkerRefused,
    WorkerTimeout,
    WorkerUnauthorized,
    WorkerUnreachable,
    refusal,
)
from app.worker_values import ChatRequest, Finished, Heartbeat, Phase, Piece, WorkerEvent, WorkerHealth
from conversations.messages import ImageRef, Message

__all__ = [
    "ChatRequest", "ContextTooLong", "Finished", "Heartbeat", "ModelNotFound", "Phase", "PictureNotAccepted", "Piece",
    "WorkerBusy", "WorkerClient", "WorkerDied", "WorkerError", "WorkerEvent", "WorkerHealth", "WorkerLoadFailed",
    "WorkerLoading", "WorkerOutOfMemory", "WorkerProtocolError", "WorkerRefused", "WorkerTimeout",
    "WorkerUnauthorized", "WorkerUnreachable",
]  # fmt: skip

HEARTBEAT_SECONDS = 0.25


class WorkerClient:
    """One worker's address and token.

    `data_url` turns a stored picture's SHA-256 into a data URL (ImageStore.data_url); needed as soon as a message has a
    picture. `silence_seconds` is how long the worker may send no byte at all. A client has no state but these, so any
    number of threads may use it.
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
        url = httpx.URL(base_url.rstrip("/").removesuffix("/v1"))
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(
                f"The worker's address {base_url!r} is no URL; give one like http://127.0.0.1:8001."
            )
        self.base_url = str(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._data_url = data_url
        self._timeout = httpx.Timeout(silence_seconds, connect=connect_seconds)
        # A proxy for the internet must not stand between the page and its own child.
        self._trust_env = not _is_loopback(url.host)
        # Reading the certificates takes long and a client is made for every call; without TLS nobody needs them.
        self._tls = (
            httpx.create_ssl_context() if url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )

    def health(self, timeout_seconds: float = 10.0) -> WorkerHealth:
        """What the worker says about itself. Raises WorkerUnreachable, WorkerTimeout, WorkerUnauthorized."""
        try:
            told = self._get_json("/health", timeout_seconds)
        except (WorkerRefused, WorkerProtocolError):
            told = None  # not our worker: another server may lack /health, or answer it in its own way
        if isinstance(told, dict) and told.get("state") in ("loading", "ready", "failed"):
            return _health(told)
        try:
            names = self.models(timeout_seconds)
        except (WorkerUnauthorized, WorkerProtocolError):
            raise
        except WorkerRefused as refused:
            return WorkerHealth("loading", fraction=0.0, reason=refused.message)
        if not names:
            return WorkerHealth("failed", reason="The server lists no model; load one there.")
        return WorkerHealth("ready", model=names[0])

    def models(self, timeout_seconds: float = 10.0) -> tuple[str, ...]:
        """The names of the models served, the default one first. Raises a WorkerError."""
        told = self._get_json("/v1/models", timeout_seconds)
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
        model = request.model or self._default_model()
        client = self._client()
        body = json.dumps(self._body(request, model), ensure_ascii=False).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json"}
        call = client.build_request("POST", "/v1/chat/completions", content=body, headers=headers)
        with EventStream(self.base_url, client, call) as stream:
            yield from self._events(stream.lines(HEARTBEAT_SECONDS))

    def _events(self, lines: Iterator[str | httpx.Response | None]) -> Iterator[WorkerEvent]:
        reason: str | None = None
        usage: Mapping[str, Any] = {}
        pieces = WholePieces()
        for line in lines:
            if isinstance(line, httpx.Response):
                raise self._refusal(line)
            if line is None:
                yield Heartbeat()
            elif line.startswith(":"):
                yield _phase(line)
            elif line.startswith("data:"):
                data = line.removeprefix("data:").strip()
                if data == "[DONE]":
                    break
                chunk = self._chunk(data)
                usage = chunk.get("usage") or usage
                text, ended = _first_choice(chunk)
                reason = ended or reason
                if text := pieces.feed(text):
                    yield Piece(text)
        if rest := pieces.rest():
            yield Piece(rest)
        if reason is None:
            raise WorkerDied(self.base_url, "the stream ended without a finish reason")
        yield Finished(
            "length" if reason == "length" else "stop",
            _count(usage, "prompt_tokens"),
            _count(usage, "completion_tokens"),
        )

    def _chunk(self, data: str) -> dict[str, Any]:
        try:
            chunk = json.loads(data)
        except ValueError as error:
            raise WorkerProtocolError(
                self.base_url, f"its stream holds {data[:80]!r}, which is not JSON"
            ) from error
        if not isinstance(chunk, dict):
            raise WorkerProtocolError(self.base_url, f"its stream holds {data[:80]!r}, which is no object")
        told = chunk.get("error")
        if told:
            raise refusal(200, told if isinstance(told, dict) else {"message": str(told)})
        return chunk

    def _body(self, request: ChatRequest, model: str) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        if request.system_prompt is not None:
            messages.append({"role": "system", "content": request.system_prompt})
        messages.extend(self._message(message) for message in request.messages)
        body: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_new_tokens,
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stop:
            body["stop"] = list(request.stop)
        return body

    def _message(self, message: Message) -> dict[str, Any]:
        if message.role == "assistant" or not message.images:
            return {"role": message.role, "content": message.text}
        return {"role": "user", "content": [self._part(part) for part in message.content]}

    def _part(self, part: str | ImageRef) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        if self._data_url is None:
            raise ValueError("the client was made without data_url, so it cannot send pictures")
        return {"type": "image_url", "image_url": {"url": self._data_url(part.sha256)}}

    def _default_model(self) -> str:
        names = self.models()
        if not names:
            raise WorkerProtocolError(self.base_url, "it lists no model")
        return names[0]

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.base_url,
            headers=self._headers,
            timeout=self._timeout,
            trust_env=self._trust_env,
            verify=self._tls,
        )

    def _get_json(self, path: str, timeout_seconds: float) -> object:
        try:
            with self._client() as client:
                response = client.get(
                    path, timeout=httpx.Timeout(timeout_seconds, connect=self._timeout.connect)
                )
        except httpx.HTTPError as error:
            raise as_worker_error(error, self.base_url) from error
        if response.status_code >= 400:
            raise self._refusal(response)
        try:
            return response.json()
        except ValueError as error:
            raise WorkerProtocolError(self.base_url, f"{path} is not JSON") from error

    def _refusal(self, response: httpx.Response) -> WorkerRefused:
        try:
            body = response.json()
        except ValueError:
            body = None
        error = body.get("error") if isinstance(body, dict) else None
        if not isinstance(error, dict):
            error = {"message": f"The server answered {response.status_code}: {response.text[:200]}".strip()}
        return refusal(response.status_code, error, response.headers.get("Retry-After"))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _health(told: Mapping[str, Any]) -> WorkerHealth:
    def text(key: str) -> str | None:
        return whole_text(told[key]) if isinstance(told.get(key), str) else None

    fraction = told.get("fraction")
    return WorkerHealth(
        state=told["state"],
        fraction=float(fraction) if isinstance(fraction, int | float) else 0.0,
        reason=text("reason"),
        model=text("model") or "",
        template=text("template"),
        system=text("system"),
        context_tokens=_count(told, "context_tokens"),
        about=text("about"),
    )


def _phase(line: str) -> Phase | Heartbeat:
    """A comment of ours tells the phase; any other server's comment is only a sign of life."""
    try:
        told = json.loads(line.removeprefix(":"))
    except ValueError:
        return Heartbeat()
    if not isinstance(told, dict) or told.get("phase") not in ("queued", "reading", "answering"):
        return Heartbeat()
    return Phase(told["phase"], _count(told, "position") or 0)


def _first_choice(chunk: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text and the finish reason of a chunk; both may be missing."""
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    delta = choice.get("delta")
    text = delta.get("content") if isinstance(delta, dict) else None
    reason = choice.get("finish_reason")
    return (text if isinstance(text, str) else "", reason if isinstance(reason, str) else None)


def _count(values: Mapping[str, Any], key: str) -> int | None:
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
