"""The body of a chat-completions request, checked: what comes out of here is trusted inside.

Keys that this worker does not know are ignored, as other servers do; keys that would change the answer in a way it
cannot give (several answers, tools, forced JSON) are refused in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conversations.messages import Message
from model.door.api_error import invalid
from model.door.json_values import flag, json_object, model_name, number, shown, whole
from model.door.limits import Limits
from model.door.message_reader import MessageReader
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

    @property
    def picture_bytes(self) -> int:
        """What the decoded pictures take: three bytes a pixel."""
        return sum(3 * each.image.width * each.image.height for each in self.pictures.values())


def parse_chat_request(body: bytes, limits: Limits | None = None) -> ChatRequest:
    """Check and decode a request's body, pictures included (slow: not for the event loop). Raises ApiError."""
    values = json_object(body)
    _refuse_what_cannot_be(values)
    model = model_name(values)
    stream = flag(values, "stream")
    options = values.get("stream_options") or {}
    if not isinstance(options, dict):
        raise invalid(
            'stream_options must be an object, for example {"include_usage": true}.', "stream_options"
        )
    sampling = _sampling(values)
    reader = MessageReader(limits or Limits())
    system, messages = reader.read(values.get("messages"))
    return ChatRequest(
        model, messages, system, reader.pictures, sampling, stream, flag(options, "include_usage")
    )


def _refuse_what_cannot_be(values: Mapping[str, Any]) -> None:
    """Whatever asks for nothing, a client's own defaults above all, is let through."""
    if whole(values, "n", 1) != 1:
        raise invalid(
            f"n is {shown(values['n'])}; this worker gives one answer a request, ask again for more.", "n"
        )
    for key in ("tools", "functions", "audio", "logprobs", "top_logprobs", "logit_bias", "prediction"):
        if values.get(key):
            raise invalid(f"This worker does not support {key}; leave it out.", key)
    for key in ("presence_penalty", "frequency_penalty"):
        if number(values, key, 0.0) != 0.0:
            raise invalid(f"This worker does not support {key}; leave it out or set it to 0.", key)
    for key in ("tool_choice", "function_call"):
        if values.get(key) not in (None, "none", "auto"):
            raise invalid(f"This worker calls no tools; leave {key} out.", key)
    if values.get("modalities") not in (None, [], ["text"]):
        raise invalid('This worker writes text only; leave modalities out or send ["text"].', "modalities")
    form = values.get("response_format")
    if form is not None and (not isinstance(form, dict) or form.get("type") != "text"):
        raise invalid("This worker writes plain text only; leave response_format out.", "response_format")


def _sampling(values: Mapping[str, Any]) -> SamplingSettings:
    longest_key = "max_tokens" if values.get("max_completion_tokens") is None else "max_completion_tokens"
    seed = whole(values, "seed", -1) if values.get("seed") is not None else None
    try:
        return SamplingSettings(
            temperature=number(values, "temperature", DEFAULTS.temperature),
            top_p=number(values, "top_p", DEFAULTS.top_p),
            max_new_tokens=whole(values, longest_key, DEFAULTS.max_new_tokens),
            stop=_stops(values.get("stop")),
            seed=None if seed is None else seed & MAX_SEED,  # other servers take negative seeds too
            top_k=max(0, whole(values, "top_k", DEFAULTS.top_k)),  # -1 is "off" for vLLM
        )
    except ValueError as error:
        sentence = str(error).replace("max_new_tokens", longest_key)
        raise invalid(f"{sentence}.", sentence.partition(" ")[0]) from error


def _stops(stop: object) -> tuple[str, ...]:
    stops = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(text, str) and text for text in stops):
        raise invalid(f"stop is {shown(stop)}; it must be a text or a list of texts, none empty.", "stop")
    if len(stops) > MAX_STOPS or any(len(text) > MAX_STOP_CHARS for text in stops):
        raise invalid(f"stop may hold {MAX_STOPS} texts of up to {MAX_STOP_CHARS} characters.", "stop")
    return tuple(stops)
