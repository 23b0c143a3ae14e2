"""An engine's events as the protocol's chunks: a stream of server-sent events, or one whole object.

While nothing comes, the stream carries comments with the phase (other clients ignore them), so that the reader
knows that the call is alive, and the server notices soon when the reader has left.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from model.door.api_error import INTERNAL, ApiError, from_engine, sendable, unforeseen
from model.door.byte_budget import HeldBytes
from model.door.metrics import LEFT
from model.door.stopwatch import Stopwatch
from model.engine.errors import EngineError
from model.engine.request import Event, Finished, Piece, Reading, Waiting

_log = logging.getLogger(__name__)
QUIET_SECONDS_BEFORE_TEXT = 0.2
QUIET_SECONDS = 1.0


class Answer:
    """One answer to one request. Whoever makes it must close it: that is what cancels the generation."""

    def __init__(
        self,
        model: str,
        events: AsyncGenerator[Event],
        first: Event,
        stopwatch: Stopwatch | None = None,
        held: HeldBytes | None = None,
    ) -> None:
        """`first` is the first event, already read: an engine refuses before it, so a refusal keeps its status.

        `held` is what the pictures take; the engine lets go of them when the answer's text begins.
        """
        self._events = events
        self._first = first
        self._stopwatch = stopwatch
        self._held = held
        self._pending: asyncio.Task[Event | None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    async def stream(self, include_usage: bool) -> AsyncIterator[bytes]:
        """The server-sent events, [DONE] last. Any error after the start is sent as an error object.

        With `include_usage` every chunk has a usage, null in all but the last, as the protocol says.
        """
        role = {"role": "assistant"}
        no_usage = {"usage": None} if include_usage else {}
        try:
            async for event in self._beating():
                if isinstance(event, Waiting):
                    yield _comment({"phase": "queued", "position": event.position})
                elif isinstance(event, Reading):
                    yield _comment({"phase": "reading"})
                elif event is None:
                    yield _comment({"phase": "answering"})
                elif isinstance(event, Piece):
                    yield self._chunk({**role, "content": event.text}, None, no_usage)
                    role = {}
                else:
                    yield self._chunk(role, event.reason, no_usage)
                    if include_usage:
                        yield _data({**self._chunk_head(), "choices": [], "usage": _usage(event)})
            yield b"data: [DONE]\n\n"
        except EngineError as error:
            yield self._failed(from_engine(error))
        except ApiError as error:
            yield self._failed(error)
        except Exception as error:  # noqa: BLE001 - the status is sent already: only the stream can still tell it
            _log.exception("an answer failed in its midst")
            yield self._failed(unforeseen(error))

    async def whole(self) -> dict[str, Any]:
        """The complete answer. Raises ApiError."""
        try:
            return await self._whole()
        except ApiError as error:
            self._end(error.code)
            raise
        except Exception:
            self._end(INTERNAL)
            raise

    async def _whole(self) -> dict[str, Any]:
        text = ""
        try:
            event: Event | None = self._first
            self._see(event)
            while event is not None and not isinstance(event, Finished):
                text += event.text if isinstance(event, Piece) else ""
                event = await anext(self._events, None)
                self._see(event)
        except EngineError as error:
            raise from_engine(error) from error
        if event is None:
            raise _no_reason()
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": sendable(text), "refusal": None},
            "finish_reason": event.reason,
            "logprobs": None,
        }
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": _usage(event)}

    async def close(self) -> None:
        """Ends the engine's stream, wherever it is; goes on when the caller is cancelled. Safe to call twice."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()  # it may stand inside the engine's stream, which cannot be closed meanwhile
            await asyncio.gather(pending, return_exceptions=True)
        try:
            await self._events.aclose()
        finally:
            if self._held is not None:
                self._held.release()
            self._end(LEFT)  # where nothing else has ended it

    def _see(self, event: Event | None) -> None:
        if event is not None and self._stopwatch is not None:
            self._stopwatch.see(event)
        if self._held is not None and isinstance(event, Piece | Finished):
            self._held.release()

    def _end(self, reason: str) -> None:
        if self._stopwatch is not None:
            self._stopwatch.end(reason)

    def _failed(self, error: ApiError) -> bytes:
        self._end(error.code)
        return _data(error.body())

    async def _beating(self) -> AsyncIterator[Event | None]:
        """The events; while quiet, the last phase again, and None for "answering" once text has come."""
        phase: Event | None = None if isinstance(self._first, Piece) else self._first
        seen_text = isinstance(self._first, Piece)
        self._see(self._first)
        yield self._first
        while not isinstance(phase, Finished):
            self._pending = self._pending or asyncio.ensure_future(_next(self._events))
            quiet = QUIET_SECONDS if seen_text else QUIET_SECONDS_BEFORE_TEXT
            done, _ = await asyncio.wait({self._pending}, timeout=quiet)
            if not done:
                yield phase
                continue
            pending, self._pending = self._pending, None
            event = pending.result()
            if event is None:
                raise _no_reason()
            seen_text = seen_text or isinstance(event, Piece)
            phase = None if isinstance(event, Piece) else event
            self._see(event)
            yield event

    def _chunk_head(self) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk"}

    def _chunk(self, delta: dict[str, Any], reason: str | None, usage: dict[str, None]) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return _data({**self._chunk_head(), "choices": [choice], **usage})


async def _next(events: AsyncGenerator[Event]) -> Event | None:
    return await anext(events, None)


def _no_reason() -> ApiError:
    return ApiError(500, INTERNAL, "The engine ended the answer without a reason; ask again.")


def _usage(event: Finished) -> dict[str, int]:
    return {
        "prompt_tokens": event.num_prompt_tokens,
        "completion_tokens": event.num_completion_tokens,
        "total_tokens": event.num_prompt_tokens + event.num_completion_tokens,
    }


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"


def _comment(value: dict[str, Any]) -> bytes:
    return b": " + json.dumps(value).encode() + b"\n\n"
