"""The worker's HTTP addresses: /health, /metrics, and below /v1 models, chat/completions, prompt, and adapters' two."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from model.door.adapter_routes import AdapterDesk, features
from model.door.adapter_shelf import AdapterShelf
from model.door.caller import CallerCheck
from model.door.chat_desk import ChatDesk
from model.door.error_answers import add_error_answers
from model.door.json_body import json_body
from model.door.limits import Limits
from model.door.metrics import CONTENT_TYPE, Metrics
from model.door.model_cards import model_card, model_cards
from model.door.readiness import Readiness

MAX_ADAPTER_BODY = 10_000
ADAPTER_ADVICE = "send nothing but lora_name, lora_path and load_inplace"


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
    metrics = Metrics(readiness)
    _add_chat(app, ChatDesk(readiness, limits or Limits(), metrics), metrics, Depends(check_token))
    _add_adapters(
        app, readiness, AdapterDesk(readiness, shelf, has_token=token is not None), Depends(check_token)
    )
    add_error_answers(app)
    return app


def _add_chat(app: FastAPI, desk: ChatDesk, metrics: Metrics, with_token: Any) -> None:
    @app.get("/metrics", dependencies=[with_token])
    async def metrics_text() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.post("/v1/chat/completions", dependencies=[with_token])
    async def chat_completions(request: Request) -> Response:
        return await desk.answer(request)

    @app.post("/v1/prompt", dependencies=[with_token])
    async def prompt(request: Request) -> dict[str, Any]:
        return await desk.prompt(request)


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
        return PlainTextResponse(await desk.load(await json_body(request, MAX_ADAPTER_BODY, ADAPTER_ADVICE)))

    @app.post("/v1/unload_lora_adapter", dependencies=[with_token])
    async def unload_lora_adapter(request: Request) -> Response:
        return PlainTextResponse(
            await desk.unload(await json_body(request, MAX_ADAPTER_BODY, ADAPTER_ADVICE))
        )
