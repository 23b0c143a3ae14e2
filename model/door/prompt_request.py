"""What a conversation becomes for the model: the body of POST /v1/prompt, checked, and the answer to it.

The same renderer makes the prompts of chat and of training, so what is shown here is what the model reads and, where
the mask says so, what it is trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from conversations.messages import Message
from model.door.api_error import ApiError, sendable
from model.door.json_values import json_object, model_name
from model.door.limits import Limits
from model.door.message_reader import MessageReader
from model.door.readiness import Served


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """A checked request. `model` "" means the one that is served; `system` None means the template's own."""

    model: str
    messages: tuple[Message, ...]
    system: str | None

    @property
    def open_turn(self) -> bool:
        """Whether the prompt ends ready to be answered: the last message is the user's."""
        return self.messages[-1].role == "user"


def parse_prompt_request(body: bytes, limits: Limits) -> PromptRequest:
    """Check a request's body, pictures included (slow: not for the event loop). Raises ApiError."""
    values = json_object(body)
    model = model_name(values)
    system, messages = MessageReader(limits).read(values.get("messages"), may_be_answered=True)
    return PromptRequest(model, messages, system)


def prompt_object(served: Served, model: str, request: PromptRequest) -> dict[str, Any]:
    """The answer. `mask`, `token_ids` and `tokens` are equally long; joined, `tokens` read as the prompt.

    A picture is `tokens_per_picture` times `image_token_id`. Raises ApiError where the prompt cannot be rendered.
    """
    try:
        prompt = served.render(request.messages, request.system, open_turn=request.open_turn)
    except ValueError as error:  # a template that needs a token which the tokenizer lacks
        raise ApiError(400, "invalid_request", str(error), param="messages") from error
    ids = list(prompt.input_ids)
    return {
        "object": "prompt",
        "model": model,
        "template": served.template,
        "prompt": sendable(prompt.text),
        "token_ids": ids,
        "mask": list(prompt.loss_mask),
        "tokens": [sendable(piece) for piece in _pieces(served.token_pieces, ids)],
        "num_tokens": len(ids),
        "num_trained": sum(prompt.loss_mask),
        "num_pictures": len(prompt.images),
        "image_token_id": served.image_token_id,
        "tokens_per_picture": served.num_patches,
        "context_tokens": served.context_tokens,
    }


def _pieces(token_pieces: Callable[[Sequence[int]], Sequence[str]], ids: Sequence[int]) -> list[str]:
    pieces = list(token_pieces(ids))
    if len(pieces) != len(ids):
        raise ApiError(
            500, "internal", f"{len(ids)} tokens gave {len(pieces)} texts; its log has the details."
        )
    return pieces
