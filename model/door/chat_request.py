"""The body of a chat-completions request, checked: what comes out of here is trusted inside.

Keys that this worker does not know are ignored, as other servers do; keys that would change the answer in a way it
cannot give (several answers, tools, forced JSON) are refused in words.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conversations.messages import Content, ImageRef, Message, Role
from model.door.api_error import ApiError, invalid
from model.door.data_url import picture_from
from model.door.limits import Limits
from model.engine.request import MAX_SEED, Picture, SamplingSettings

DEFAULTS = SamplingSettings()
MAX_STOPS = 16
MAX_STOP_CHARS = 200


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A checked request. `model` "" means the one that is served; `system` None means the template's own.

    `pictures` by the SHA-256 that the messages' ImageRefs name.
    """

    model: str
    messages: tuple[Message, ...]
    system: str | None
    pictures: Mapping[str, Picture]
    sampling: SamplingSettings
    stream: bool
    include_usage: bool


def parse_chat_request(body: bytes, limits: Limits | None = None) -> ChatRequest:
    """Check and decode a request's body, pictures included (slow: not for the event loop). Raises ApiError."""
    values = _object(body)
    _refuse_what_cannot_be(values)
    model = values.get("model")
    if model is not None and not isinstance(model, str):
        raise invalid(f"model is {_shown(model)}; it must be a name from /v1/models.", "model")
    stream = _flag(values, "stream")
    options = values.get("stream_options") or {}
    if not isinstance(options, dict):
        raise invalid(
            'stream_options must be an object, for example {"include_usage": true}.', "stream_options"
        )
    sampling = _sampling(values)
    reader = _MessageReader(limits or Limits())
    system, messages = reader.read(values.get("messages"))
    return ChatRequest(
        model or "", messages, system, reader.pictures, sampling, stream, _flag(options, "include_usage")
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except RecursionError as error:
        raise invalid("The body is nested too deeply to be a chat-completions request.") from error
    except ValueError as error:
        raise invalid(f"The body is not JSON ({error}); send a chat-completions request.") from error
    if not isinstance(values, dict):
        raise invalid(f"The body is {_shown(values)}; it must be a JSON object with messages.")
    return values


def _refuse_what_cannot_be(values: Mapping[str, Any]) -> None:
    if values.get("n") not in (None, 1):
        raise invalid(
            f"n is {_shown(values['n'])}; this worker gives one answer a request, ask again for more.", "n"
        )
    for key in ("tools", "functions", "audio", "logprobs", "top_logprobs", "logit_bias", "prediction"):
        if values.get(key):
            raise invalid(f"This worker does not support {key}; leave it out.", key)
    for key in ("presence_penalty", "frequency_penalty"):
        if values.get(key) not in (None, 0):
            raise invalid(f"This worker does not support {key}; leave it out or set it to 0.", key)
    form = values.get("response_format")
    if form is not None and (not isinstance(form, dict) or form.get("type") != "text"):
        raise invalid("This worker writes plain text only; leave response_format out.", "response_format")


def _sampling(values: Mapping[str, Any]) -> SamplingSettings:
    longest_key = "max_tokens" if values.get("max_completion_tokens") is None else "max_completion_tokens"
    seed = _whole(values, "seed", -1) if values.get("seed") is not None else None
    try:
        return SamplingSettings(
            temperature=_number(values, "temperature", DEFAULTS.temperature),
            top_p=_number(values, "top_p", DEFAULTS.top_p),
            max_new_tokens=_whole(values, longest_key, DEFAULTS.max_new_tokens),
            stop=_stops(values.get("stop")),
            seed=None if seed is None else seed & MAX_SEED,  # other servers take negative seeds too
        )
    except ValueError as error:
        raise invalid(f"{error}.") from error


def _stops(stop: object) -> tuple[str, ...]:
    stops = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(text, str) and text for text in stops):
        raise invalid(f"stop is {_shown(stop)}; it must be a text or a list of texts, none empty.", "stop")
    if len(stops) > MAX_STOPS or any(len(text) > MAX_STOP_CHARS for text in stops):
        raise invalid(f"stop may hold {MAX_STOPS} texts of up to {MAX_STOP_CHARS} characters.", "stop")
    return tuple(stops)


class _MessageReader:
    """Reads the list of messages and keeps count of what it brings."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._num_chars = 0
        self._num_pictures = 0
        self._by_url: dict[str, Picture] = {}
        self.pictures: dict[str, Picture] = {}

    def read(self, messages: object) -> tuple[str | None, tuple[Message, ...]]:
        """The system prompt (None where none is sent) and the turns. Raises ApiError."""
        if not isinstance(messages, list) or not messages:
            raise invalid("messages must be a list with at least one message of the user.", "messages")
        system: str | None = None
        turns: list[Message] = []
        for place, message in enumerate(messages):
            where = f"messages[{place}]"
            if not isinstance(message, dict):
                raise invalid(
                    f"{where} is {_shown(message)}; it must be an object with role and content.", where
                )
            role = message.get("role")
            if role in ("system", "developer"):
                if place != 0:
                    raise invalid(f"{where} is a system message; only the first message may be one.", where)
                system = self._plain(message.get("content"), where)
                continue
            turns.append(self._turn(self._checked_role(role, turns, where), message, where))
        if not turns or turns[-1].role != "user":
            raise invalid("The last message must be the user's: it is what is answered.", "messages")
        return system, tuple(turns)

    @staticmethod
    def _checked_role(role: object, turns: list[Message], where: str) -> Role:
        """The role, if it is its turn."""
        if role not in ("user", "assistant"):
            raise invalid(
                f"{where} has the role {_shown(role)}; known are system, user and assistant.", where
            )
        expected: Role = "assistant" if turns and turns[-1].role == "user" else "user"
        if role != expected:
            raise invalid(
                f"{where} is the {role}'s, but the {expected}'s turn is due; user and assistant must alternate, "
                "beginning with the user.",
                where,
            )
        return expected

    def _turn(self, role: Role, message: Mapping[str, Any], where: str) -> Message:
        content = message.get("content")
        if role == "assistant":
            return Message("assistant", (self._plain(content, where),))
        parts = self._parts(content, where)
        if not any(not isinstance(part, str) or part.strip() for part in parts):
            raise invalid(f"{where} is empty; write a question or add a picture.", where)
        return Message("user", parts)

    def _plain(self, content: object, where: str) -> str:
        """Text that may also come as a list of text parts."""
        parts = self._parts(content, where)
        if not all(isinstance(part, str) for part in parts):
            raise invalid(f"{where} holds a picture; only the user's messages may.", where)
        return "\n".join(part for part in parts if isinstance(part, str))

    def _parts(self, content: object, where: str) -> Content:
        if isinstance(content, str):
            return (self._text(content, where),)
        if not isinstance(content, list):
            raise invalid(
                f"{where} has the content {_shown(content)}; it must be text or a list of parts.", where
            )
        return tuple(self._part(part, f"{where}.content[{place}]") for place, part in enumerate(content))

    def _part(self, part: object, where: str) -> str | ImageRef:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, dict) and kind == "text" and isinstance(part.get("text"), str):
            return self._text(part["text"], where)
        if isinstance(part, dict) and kind == "image_url":
            return self._picture(part.get("image_url"), where)
        raise invalid(f"{where} is of the type {_shown(kind)}; known are text and image_url.", where)

    def _text(self, text: str, where: str) -> str:
        self._num_chars += len(text)
        if self._num_chars > self._limits.max_text_chars:
            raise ApiError(
                400,
                "context_length_exceeded",
                f"The conversation has more than {self._limits.max_text_chars:,} characters; shorten it.",
                param="messages",
            )
        if "\0" in text:
            raise invalid(f"{where} holds a NUL character; remove it.", where)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise invalid(
                f"{where} holds half of a surrogate pair, which is no character; remove it.", where
            ) from error
        return text

    def _picture(self, image_url: object, where: str) -> ImageRef:
        url = image_url.get("url") if isinstance(image_url, dict) else image_url
        if not isinstance(url, str):
            raise invalid(f'{where} has no url; send {{"url": "data:image/png;base64,…"}}.', where)
        self._num_pictures += 1
        if self._num_pictures > self._limits.max_pictures:
            raise ApiError(
                400,
                "invalid_picture",
                f"The conversation holds more than {self._limits.max_pictures} pictures; leave some out.",
                param=where,
            )
        picture = self._by_url.get(url) or self._new_picture(url, where)
        return ImageRef(picture.sha256, picture.image.width, picture.image.height)

    def _new_picture(self, url: str, where: str) -> Picture:
        """Decode a picture that was not sent before."""
        picture = picture_from(url, self._limits, where)
        picture = self.pictures.setdefault(picture.sha256, picture)
        self._by_url[url] = picture
        return picture


def _flag(values: Mapping[str, Any], key: str) -> bool:
    value = values.get(key)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"{key} is {_shown(value)}; it must be true or false.", key)
    return bool(value)


def _number(values: Mapping[str, Any], key: str, default: float) -> float:
    value = values.get(key)
    if value is None:
        return default
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise invalid(f"{key} is {_shown(value)}; it must be a number.", key)
    return number


def _whole(values: Mapping[str, Any], key: str, default: int) -> int:
    value = values.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(f"{key} is {_shown(value)}; it must be a whole number.", key)
    return value


def _shown(value: object) -> str:
    """A value as it may stand in a sentence: short, and plain ASCII whatever was sent."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a very long number"
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
