"""Speaks the OpenAI chat-completions protocol to any worker: ours, or any other server of that protocol.

Synchronous, for the page's thread-pool generators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
)
from app.worker_values import ChatRequest, Finished, Heartbeat, Phase, Piece, WorkerEvent, WorkerHealth

__all__ = [
    "ChatRequest", "ContextTooLong", "Finished", "Heartbeat", "ModelNotFound", "Phase", "PictureNotAccepted", "Piece",
    "WorkerBusy", "WorkerClient", "WorkerDied", "WorkerError", "WorkerEvent", "WorkerHealth", "WorkerLoadFailed",
    "WorkerLoading", "WorkerOutOfMemory", "WorkerProtocolError", "WorkerRefused", "WorkerTimeout",
    "WorkerUnauthorized", "WorkerUnreachable",
]  # fmt: skip


class WorkerClient:
    """One worker's address and token.

    `data_url` turns a stored picture's SHA-256 into a data URL (ImageStore.data_url); needed as soon as a message has a
    picture. `silence_seconds` is how long the worker may send no byte at all.
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
        raise NotImplementedError

    def health(self) -> WorkerHealth:
        """What the worker says about itself. Raises WorkerUnreachable, WorkerTimeout, WorkerUnauthorized."""
        raise NotImplementedError

    def models(self) -> tuple[str, ...]:
        """The names of the models served, the default one first."""
        raise NotImplementedError

    def stream(self, request: ChatRequest) -> Iterator[WorkerEvent]:
        """The answer as it is made. Closing the iterator closes the connection, which stops the generation.

        Yields at least every 0.25 s (a Heartbeat where nothing came), Finished last. Raises a WorkerError.
        """
        raise NotImplementedError
