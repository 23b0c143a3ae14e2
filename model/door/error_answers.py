"""How errors leave the worker: as the protocol's error objects, whatever was raised."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from model.door.api_error import ApiError, unforeseen

RETRY_AFTER_SECONDS = {"loading": "2", "queue_full": "10"}


def add_error_answers(app: FastAPI) -> None:
    """Teach the application to answer ApiError, unknown addresses, readers who leave and faults of ours."""

    @app.exception_handler(ApiError)
    async def told(_: Request, error: ApiError) -> JSONResponse:
        retry_after = RETRY_AFTER_SECONDS.get(error.code)
        headers = {"Retry-After": retry_after} if retry_after else None
        return JSONResponse(error.body(), status_code=error.status, headers=headers)

    @app.exception_handler(HTTPException)
    async def not_here(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path[:80]}: {error.detail}."
        code = "not_found" if error.status_code == 404 else "invalid_request"
        return JSONResponse(ApiError(error.status_code, code, message).body(), status_code=error.status_code)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=499)  # nobody reads it

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(unforeseen(error).body(), status_code=500)
