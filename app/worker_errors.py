"""What can go wrong between the page and a worker, drawn as a tree, so that each cause can be told in its own words.

WorkerError
├── WorkerUnreachable        nobody answers at the address
├── WorkerTimeout            the worker took the request and then said nothing for too long
├── WorkerDied               the connection ended in mid-answer
├── WorkerProtocolError      it answered, but not with chat-completions
└── WorkerRefused            it answered with an error object
    ├── WorkerLoading        503 loading: weights are being read
    ├── WorkerLoadFailed     503 load_failed: the weights could not be read
    ├── WorkerBusy           429: the queue is full
    ├── WorkerOutOfMemory    507 out_of_memory
    ├── WorkerUnauthorized   401: wrong or missing token
    ├── ModelNotFound        404 model_not_found
    ├── PictureNotAccepted   400 invalid_picture
    └── ContextTooLong       400 context_length_exceeded, with both counts
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.whole_text import whole_text


class WorkerError(Exception):
    """Any failure of a call to a worker. Its text is one sentence that names what happened and the remedy."""


class WorkerUnreachable(WorkerError):
    """Nobody answers at `base_url`."""

    def __init__(self, base_url: str, cause: str) -> None:
        super().__init__(
            f"The worker at {base_url} cannot be reached ({cause}); check that it runs, then try again."
        )
        self.base_url = base_url
        self.cause = cause


class WorkerTimeout(WorkerError):
    """The worker holds the connection and has sent no byte for `seconds`."""

    def __init__(self, base_url: str, seconds: float) -> None:
        super().__init__(
            f"The worker at {base_url} sent nothing for {seconds:g} seconds; try again or restart it."
        )
        self.base_url = base_url
        self.seconds = seconds


class WorkerDied(WorkerError):
    """The connection ended before the answer did."""

    def __init__(self, base_url: str, cause: str) -> None:
        super().__init__(
            f"The worker at {base_url} ended the answer midway ({cause}); press Retry when it is back."
        )
        self.base_url = base_url
        self.cause = cause


class WorkerProtocolError(WorkerError):
    """What came back is not the chat-completions protocol."""

    def __init__(self, base_url: str, what: str) -> None:
        super().__init__(
            f"The server at {base_url} does not speak chat-completions: {what}; check --worker-url."
        )
        self.base_url = base_url
        self.what = what


class WorkerRefused(WorkerError):
    """The worker answered with an error object.

    `code` is the error's code ("" where the server gives none), `message` its own sentence, `details` the whole object.
    """

    def __init__(
        self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message or f"The worker refused the request with status {status}.")
        self.status = status
        self.code = code
        self.message = message
        self.details: Mapping[str, Any] = dict(details or {})


class WorkerLoading(WorkerRefused):
    """The weights are being read: try again shortly. `fraction` is 0 to 1."""

    @property
    def fraction(self) -> float:
        value = self.details.get("fraction", 0.0)
        return float(value) if isinstance(value, int | float) else 0.0


class WorkerLoadFailed(WorkerRefused):
    """The weights could not be read; the message says why."""


class WorkerBusy(WorkerRefused):
    """The queue is full. `retry_after_seconds` is the worker's advice, or None."""

    retry_after_seconds: float | None = None


class WorkerOutOfMemory(WorkerRefused):
    """The request did not fit into memory; the worker lives on."""


class WorkerUnauthorized(WorkerRefused):
    """The token is wrong or missing."""


class WorkerEnding(WorkerRefused):
    """The worker is being ended, by hand, for another model or because its engine broke; the message says why."""


class ModelNotFound(WorkerRefused):
    """The worker does not serve the model that was asked for."""


class PictureNotAccepted(WorkerRefused):
    """A picture is not a picture, too large, or of a kind the worker does not read."""


class ContextTooLong(WorkerRefused):
    """The prompt does not fit. The counts are None where the server does not tell them."""

    @property
    def prompt_tokens(self) -> int | None:
        return _whole_number(self.details.get("prompt_tokens"))

    @property
    def context_tokens(self) -> int | None:
        return _whole_number(self.details.get("context_tokens"))


def _whole_number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_BY_CODE: Mapping[str, type[WorkerRefused]] = {
    "loading": WorkerLoading,
    "load_failed": WorkerLoadFailed,
    "queue_full": WorkerBusy,
    "rate_limit_exceeded": WorkerBusy,
    "out_of_memory": WorkerOutOfMemory,
    "shutting_down": WorkerEnding,
    "unauthorized": WorkerUnauthorized,
    "invalid_api_key": WorkerUnauthorized,
    "model_not_found": ModelNotFound,
    "invalid_picture": PictureNotAccepted,
    "context_length_exceeded": ContextTooLong,
}
_BY_STATUS: Mapping[int, type[WorkerRefused]] = {
    401: WorkerUnauthorized,
    429: WorkerBusy,
    507: WorkerOutOfMemory,
}


def refusal(status: int, error: Mapping[str, Any], retry_after: str | None = None) -> WorkerRefused:
    """The exception for an error object. `status` is 200 where the error came inside a running stream."""
    code = str(error.get("code") or "")
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status, WorkerRefused)
    refused = kind(status, code, whole_text(str(error.get("message") or "")), error)
    if isinstance(refused, WorkerBusy) and retry_after is not None:
        try:
            refused.retry_after_seconds = float(retry_after)
        except ValueError:  # Retry-After may also be a date; the page then simply offers Retry
            refused.retry_after_seconds = None
    return refused
