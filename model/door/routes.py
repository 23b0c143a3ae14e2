"""The worker's HTTP addresses: /health, /v1/models, /v1/chat/completions."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from model.door.answer import Answer
from model.door.api_error import ApiError, from_engine, unforeseen
from model.door.caller import CallerCheck
from model.door.chat_request import ChatRequest, parse_chat_request
from model.door.limits import Limits
from model.door.readiness import Readiness, Served
from model.engine.errors import EngineError
from model.engine.request import GenerationRequest, SamplingSettings

MAX_DECODING = 4
"""Requests whose pictures are decoded at one time: a large photo takes hundreds of megabytes until it is shrunk."""


def build_app(
    readiness: Readiness, token: str | None, limits: Limits | None = None, *, loopback_only: bool = False
) -> FastAPI:
    """The application. It imports no torch: what is loaded comes in by `readiness`.

    `token` None lets everybody in but web pages from elsewhere; with `loopback_only` nobody who calls this machine
    by another name than its own either.
    """
    caller = CallerCheck(token, loopback_only)

    async def check_place(request: Request) -> None:
        caller.check_place(request)

    app = FastAPI(
        title="LLaVA Loop worker",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(check_place)],
    )
    bounds = limits or Limits()
    decoding = asyncio.Semaphore(MAX_DECODING)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return readiness.health()

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        caller.check_token(request)
        return {"object": "list", "data": [_model_card(readiness.served)]}

    @app.get("/v1/models/{name:path}")
    async def model(request: Request, name: str) -> dict[str, Any]:
        caller.check_token(request)
        return _model_card(_chosen(readiness.served, name))

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        caller.check_token(request)
        _check_json(request)
        body = await _body(request, bounds.max_body_bytes)
        served = readiness.served
        async with decoding:
            chat = await asyncio.to_thread(parse_chat_request, body, bounds)
        del body
        _chosen(served, chat.model)
        return await _answer(request, served, chat)

    _add_error_handlers(app)
    return app


async def _answer(request: Request, served: Served, chat: ChatRequest) -> Response:
    generation = await asyncio.to_thread(_generation, served, chat)
    events = served.engine.stream(generation)
    try:
        first = await anext(events)
    except EngineError as error:
        raise from_engine(error) from error
    answer = Answer(served.model, events, first)
    if chat.stream:
        return _ClosingResponse(answer, chat.include_usage)
    return await _whole(request, answer)


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


def _generation(served: Served, chat: ChatRequest) -> GenerationRequest:
    """Render and tokenise. The template's own stop always ends an answer."""
    prompt = served.render(chat.messages, chat.system)
    pictures = tuple(chat.pictures[image.sha256] for image in prompt.images)
    asked = chat.sampling
    stops = tuple(dict.fromkeys((*([served.stop] if served.stop else []), *asked.stop)))
    sampling = SamplingSettings(asked.temperature, asked.top_p, asked.max_new_tokens, stops, asked.seed)
    return GenerationRequest(served.model, tuple(prompt.input_ids), pictures, sampling)


def _chosen(served: Served, name: str) -> Served:
    if name not in ("", served.model):
        message = f"The model {name[:80]!r} is not served here; ask for {served.model!r}."
        raise ApiError(404, "model_not_found", message, param="model")
    return served


def _model_card(served: Served) -> dict[str, Any]:
    return {
        "id": served.model,
        "object": "model",
        "created": 0,
        "owned_by": "llava-loop",
        "about": served.about,
    }


def _check_json(request: Request) -> None:
    """A web page elsewhere can post a form or plain text to a local worker unasked, but not JSON."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "invalid_request", f"The body's type is {kind[:40]!r}; send application/json.")


async def _body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    declared = request.headers.get("Content-Length", "")
    too_large = ApiError(
        413,
        "invalid_request",
        f"The request is larger than {max_bytes / 1e6:g} MB, which is the most; send pictures of at most 1,344 pixels "
        "a side (larger ones are shrunk anyway) or fewer of them.",
    )
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def told(_: Request, error: ApiError) -> JSONResponse:
        retry_after = {"loading": "2", "queue_full": "10"}.get(error.code)
        headers = {"Retry-After": retry_after} if retry_after else None
        return JSONResponse(error.body(), status_code=error.status, headers=headers)

    @app.exception_handler(HTTPException)
    async def not_here(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path[:80]}: {error.detail}."
        code = "not_found" if error.status_code == 404 else "invalid_request"
        return JSONResponse(ApiError(error.status_code, code, message).body(), status_code=error.status_code)

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(unforeseen(error).body(), status_code=500)
