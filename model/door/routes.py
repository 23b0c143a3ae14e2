"""The worker's HTTP addresses: /health, /metrics, and below /v1 models, chat/completions, prompt, and adapters' two."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from model.door.adapter_routes import AdapterDesk, features
from model.door.adapter_shelf import AdapterShelf
from model.door.answer import Answer
from model.door.api_error import INTERNAL, ApiError, from_engine
from model.door.caller import CallerCheck
from model.door.chat_request import ChatRequest, parse_chat_request
from model.door.error_answers import add_error_answers
from model.door.json_body import json_body
from model.door.limits import Limits
from model.door.metrics import CONTENT_TYPE, Metrics
from model.door.model_cards import chosen_model, model_card, model_cards
from model.door.prompt_request import parse_prompt_request, prompt_object
from model.door.readiness import Readiness, Served
from model.door.stopwatch import Stopwatch
from model.engine.errors import EngineError
from model.engine.request import GenerationRequest

MAX_DECODING = 4
"""Requests whose pictures are decoded at one time: a large photo takes hundreds of megabytes until it is shrunk."""
MAX_ADAPTER_BODY = 10_000


def build_app(
    readiness: Readiness,
    token: str | None,
    limits: Limits | None = None,
    *,
    loopback_only: bool = False,
    shelf: AdapterShelf | None = None,
) -> FastAPI:
    """The application. It imports no torch: what is loaded comes in by `readiness`.

    `token` None lets everybody in but web pages from elsewhere; with `loopback_only` nobody who calls this machine
    by another name than its own either. `shelf` is where adapters may be loaded from, None for nowhere.
    """
    caller = CallerCheck(token, loopback_only)

    async def check_place(request: Request) -> None:
        caller.check_place(request)

    async def check_token(request: Request) -> None:
        caller.check_token(request)

    app = FastAPI(
        title="LLaVA Loop worker",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(check_place)],
    )
    _add_chat(app, readiness, limits or Limits(), Metrics(readiness), Depends(check_token))
    _add_adapters(
        app, readiness, AdapterDesk(readiness, shelf, has_token=token is not None), Depends(check_token)
    )
    add_error_answers(app)
    return app


def _add_chat(app: FastAPI, readiness: Readiness, limits: Limits, metrics: Metrics, with_token: Any) -> None:
    decoding = asyncio.Semaphore(MAX_DECODING)

    @app.get("/metrics", dependencies=[with_token])
    async def metrics_text() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.post("/v1/chat/completions", dependencies=[with_token])
    async def chat_completions(request: Request) -> Response:
        stopwatch = Stopwatch(metrics)
        try:
            body = await json_body(request, limits.max_body_bytes)
            served = readiness.served
            async with decoding:
                chat = await asyncio.to_thread(parse_chat_request, body, limits)
            del body
            return await _answer(request, served, chat, stopwatch)
        except ApiError as error:
            stopwatch.end(error.code)
            raise
        except Exception:
            stopwatch.end(INTERNAL)
            raise

    @app.post("/v1/prompt", dependencies=[with_token])
    async def prompt(request: Request) -> dict[str, Any]:
        body = await json_body(request, limits.max_body_bytes)
        served = readiness.served
        async with decoding:
            asked = await asyncio.to_thread(parse_prompt_request, body, limits)
            del body
            model = chosen_model(served, asked.model)
            return await asyncio.to_thread(prompt_object, served, model, asked)


def _add_adapters(app: FastAPI, readiness: Readiness, desk: AdapterDesk, with_token: Any) -> None:
    @app.get("/health")
    async def health() -> dict[str, Any]:
        engine = readiness.engine
        adapters = [] if engine is None else list(engine.adapters)
        return {**readiness.health(), "features": features(desk), "adapters": adapters}

    @app.get("/v1/models", dependencies=[with_token])
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": model_cards(readiness.served)}

    @app.get("/v1/models/{name:path}", dependencies=[with_token])
    async def model(name: str) -> dict[str, Any]:
        return model_card(readiness.served, name)

    @app.post("/v1/load_lora_adapter", dependencies=[with_token])
    async def load_lora_adapter(request: Request) -> Response:
        return PlainTextResponse(await desk.load(await json_body(request, MAX_ADAPTER_BODY)))

    @app.post("/v1/unload_lora_adapter", dependencies=[with_token])
    async def unload_lora_adapter(request: Request) -> Response:
        return PlainTextResponse(await desk.unload(await json_body(request, MAX_ADAPTER_BODY)))


async def _answer(request: Request, served: Served, chat: ChatRequest, stopwatch: Stopwatch) -> Response:
    model = chosen_model(served, chat.model)
    generation = await asyncio.to_thread(_generation, served, model, chat)
    events = served.engine.stream(generation)
    try:
        first = await anext(events)
    except EngineError as error:
        raise from_engine(error) from error
    answer = Answer(model, events, first, stopwatch)
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


def _generation(served: Served, model: str, chat: ChatRequest) -> GenerationRequest:
    """Render and tokenise. The template's own stop always ends an answer."""
    prompt = served.render(chat.messages, chat.system)
    pictures = tuple(chat.pictures[image.sha256] for image in prompt.images)
    stops = tuple(dict.fromkeys((*([served.stop] if served.stop else []), *chat.sampling.stop)))
    sampling = replace(chat.sampling, stop=stops)
    return GenerationRequest(model, tuple(prompt.input_ids), pictures, sampling)
