"""The error objects of the protocol, and the one place where an engine's errors become them.

OpenAI's shape, `{"error": {"message", "type", "param", "code"}}`, with our own numbers beside these where there are
some.
"""

from __future__ import annotations

from typing import Any

from model.engine.errors import (
    AdapterError,
    CacheTooSmall,
    EngineBroken,
    EngineClosed,
    EngineError,
    OutOfMemory,
    PromptTooLong,
    QueueFull,
    UnknownAdapter,
)

INTERNAL = "internal"
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(Exception):
    """An answer that is an error object. `details` are keys of its own beside the protocol's."""

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, **details: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.details = details

    def body(self) -> dict[str, Any]:
        """The JSON object to send."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        error = {"message": sendable(self.message), "type": kind, "param": self.param, "code": self.code}
        return {"error": {**error, **self.details}}


def sendable(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def unforeseen(error: Exception) -> ApiError:
    """A fault of ours. Its type is told, its text is not: that may hold anything."""
    kind = type(error).__name__
    return ApiError(500, INTERNAL, f"The worker failed with {kind}; ask again, its log has the details.")


def invalid(message: str, param: str | None = None) -> ApiError:
    """The request breaks the protocol; `message` names the value and the remedy."""
    return ApiError(400, "invalid_request", message, param=param)


def from_engine(error: EngineError) -> ApiError:
    """What an engine raised, as the protocol says it."""
    if isinstance(error, PromptTooLong):
        return ApiError(
            400,
            "context_length_exceeded",
            str(error),
            param="messages",
            prompt_tokens=error.prompt_tokens,
            context_tokens=error.context_tokens,
        )
    if isinstance(error, CacheTooSmall):
        return ApiError(
            400,
            "cache_too_small",
            str(error),
            param="messages",
            num_tokens=error.num_tokens,
            needed_bytes=error.needed_bytes,
            budget_bytes=error.budget_bytes,
        )
    if isinstance(error, OutOfMemory):
        return ApiError(
            507, "out_of_memory", str(error), num_tokens=error.num_tokens, num_pictures=error.num_pictures
        )
    if isinstance(error, QueueFull):
        return ApiError(429, "queue_full", str(error), num_waiting=error.num_waiting)
    if isinstance(error, UnknownAdapter):  # it was unloaded while the request was on its way
        return ApiError(404, "model_not_found", str(error), param="model")
    if isinstance(error, AdapterError):
        return ApiError(400, "invalid_adapter", str(error), param="lora_path")
    if isinstance(error, EngineClosed | EngineBroken):
        return ApiError(503, "shutting_down", str(error))
    return ApiError(500, INTERNAL, str(error))
