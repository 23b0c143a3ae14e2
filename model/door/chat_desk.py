"""POST /v1/chat/completions, from the head of a request to the answer that is being made, and /v1/prompt beside it.

What can be refused is refused before it costs anything: a full line before the body is read, a body that is too large
before it is taken in, and what the pictures of all that wait would take together before they wait.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from model.door.answer import Answer
from model.door.api_error import INTERNAL, ApiError, from_engine
from model.door.byte_budget import ByteBudget, HeldBytes
from model.door.chat_request import ChatRequest, parse_chat_request
from model.door.json_body import json_body
from model.door.limits import Limits
from model.door.metrics import LEFT, Metrics
from model.door.model_cards import chosen_model
from model.door.prompt_request import parse_prompt_request, prompt_object
from model.door.readiness import Readiness, Served
from model.door.stopwatch import Stopwatch
from model.engine.errors import EngineError
from model.engine.request import GenerationRequest

MAX_DECODING = 4
"""Requests whose pictures are decoded at one time: a large photo takes hundreds of megabytes until it is shrunk."""
LARGE_BODY_ADVICE = (
    "send pictures of at most 1,344 pixels a side (larger ones are shrunk anyway) or fewer of them"
)


@dataclass(frozen=True, slots=True)
class _Begun:
    """An answer on its way, and in which form it is wanted."""

    answer: Answer
    stream: bool
    include_usage: bool


class ChatDesk:
    """Takes in what is asked of the model, so much of it at a time as there may be."""

    def __init__(self, readiness: Readiness, limits: Limits, metrics: Metrics) -> None:
        self._readiness = readiness
        self._limits = limits
        self._metrics = metrics
        self._decoding = asyncio.Semaphore(MAX_DECODING)
        self.budget = ByteBudget(limits.max_held_bytes)

    async def answer(self, request: Request) -> Response:
        """Raises ApiError; and ClientDisconnect where the reader has left before the body was whole."""
        stopwatch = Stopwatch(self._metrics)
        held = self.budget.hold()
        try:
            begun = await self._begin(request, held, stopwatch)
            if begun.stream:
                return _ClosingResponse(begun.answer, begun.include_usage)
            return await _whole(request, begun.answer)
        except BaseException as error:
            held.release()
            stopwatch.end(_reason(error))
            raise

    async def prompt(self, request: Request) -> dict[str, Any]:
        """What a conversation becomes for the model. Raises as `answer` does."""
        with self.budget.hold() as held:
            served = self._readiness.served
            body = await json_body(request, self._limits.max_body_bytes, LARGE_BODY_ADVICE, held)
            async with self._decoding:
                asked = await asyncio.to_thread(parse_prompt_request, body, self._limits)
                del body
                held.release()  # its pictures are looked at and let go
                model = chosen_model(served, asked.model)
                return await asyncio.to_thread(prompt_object, served, model, asked)

    async def _begin(self, request: Request, held: HeldBytes, stopwatch: Stopwatch) -> _Begun:
        """The answer once its first event is there; it releases `held`. Nothing else here outlives the call."""
        served = self._readiness.served
        _check_room(served)
        body = await json_body(request, self._limits.max_body_bytes, LARGE_BODY_ADVICE, held)
        async with self._decoding:
            _check_room(served)  # again: the body may have been long on its way
            chat = await asyncio.to_thread(parse_chat_request, body, self._limits)
        del body
        held.set(chat.picture_bytes)
        model = chosen_model(served, chat.model)
        events = served.engine.stream(await asyncio.to_thread(_generation, served, model, chat))
        try:
            first = await anext(events)
        except EngineError as error:
            raise from_engine(error) from error
        return _Begun(Answer(model, events, first, stopwatch, held), chat.stream, chat.include_usage)


def _check_room(served: Served) -> None:
    try:
        served.engine.check_room()
    except EngineError as error:
        raise from_engine(error) from error


def _reason(error: BaseException) -> str:
    """As the metrics count it."""
    if isinstance(error, ApiError):
        return error.code
    return LEFT if isinstance(error, ClientDisconnect | asyncio.CancelledError) else INTERNAL


def _generation(served: Served, model: str, chat: ChatRequest) -> GenerationRequest:
    """Render and tokenise. The template's own stop always ends an answer."""
    prompt = served.render(chat.messages, chat.system)
    pictures = tuple(chat.pictures[image.sha256] for image in prompt.images)
    stops = tuple(dict.fromkeys((*([served.stop] if served.stop else []), *chat.sampling.stop)))
    sampling = replace(chat.sampling, stop=stops)
    return GenerationRequest(model, tuple(prompt.input_ids), pictures, sampling)


class _ClosingResponse(StreamingResponse):
    """A streamed answer that is closed however it ends, also when the reader left before it began."""

    def __init__(self, answer: Answer, include_usage: bool) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(answer.stream(include_usage), media_type="text/event-stream", headers=headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.close()


async def _whole(request: Request, answer: Answer) -> Response:
    """The whole answer, given up as soon as the one who asked has left."""
    making = asyncio.ensure_future(answer.whole())
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({making, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if making.done():
            return JSONResponse(making.result())
        return Response(status_code=499)  # nobody reads it
    finally:
        for task in (making, leaving):
            task.cancel()
        await asyncio.wait({making, leaving})
        await answer.close()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
