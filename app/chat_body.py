"""What is sent to a server: a conversation and its settings in the protocol's words, without what the server lacks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from app.worker_values import ChatRequest, ServerFeatures
from conversations.messages import ImageRef, Message

DataUrl = Callable[[str], str]
"""A stored picture's SHA-256 -> its data URL."""


def chat_body(
    request: ChatRequest,
    model: str,
    features: ServerFeatures,
    data_url: DataUrl | None,
    without: Collection[str] = (),
) -> dict[str, Any]:
    """The body of a chat-completions request. `model` "" leaves the choice to the server, `without` names fields that
    it has refused. Raises ValueError where there is a picture and no `data_url`."""
    body: dict[str, Any] = {
        "model": model,
        "messages": message_objects(request.messages, request.system_prompt, data_url),
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_new_tokens,
    }
    if request.seed is not None and features.seed:
        body["seed"] = request.seed
    if request.top_k and features.top_k:
        body["top_k"] = request.top_k
    if request.stop and features.stop:
        body["stop"] = list(request.stop)
    return {name: value for name, value in body.items() if name not in without and value != ""}


def message_objects(
    messages: Sequence[Message], system_prompt: str | None, data_url: DataUrl | None
) -> list[dict[str, Any]]:
    """The system prompt, where there is one, and the turns; the parts of a message keep their order."""
    system = [] if system_prompt is None else [{"role": "system", "content": system_prompt}]
    return [*system, *(_message(message, data_url) for message in messages)]


def _message(message: Message, data_url: DataUrl | None) -> dict[str, Any]:
    if message.role == "assistant" or not message.images:
        return {"role": message.role, "content": message.text}
    return {"role": "user", "content": [_part(part, data_url) for part in message.content]}


def _part(part: str | ImageRef, data_url: DataUrl | None) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if data_url is None:
        raise ValueError("the client was made without data_url, so it cannot send pictures")
    return {"type": "image_url", "image_url": {"url": data_url(part.sha256)}}
