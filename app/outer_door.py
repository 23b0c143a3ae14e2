"""The layer around everything that this program answers. The framework puts layers of its own around those that it is
handed, and some of them answer by themselves: to what a browser asks before it sends, and where something went wrong
that nobody foresaw. So ours is put around the whole as the app starts, which is before its first request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from app import wording


class OuterDoor:
    """`lifespan` is handed to the framework; `stands` says whether it was called."""

    def __init__(self, layer: Callable[[ASGIApp], ASGIApp]) -> None:
        self._layer = layer
        self.stands = False

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        if app.middleware_stack is not None:
            app.middleware_stack = self._layer(app.middleware_stack)
            self.stands = True
        yield


async def unforeseen(request: Request, error: Exception) -> JSONResponse:
    """What is answered where a route failed; the framework's server writes the error itself into the log."""
    return JSONResponse({"error": wording.sentence(error)}, 500, headers={"cache-control": "no-store"})
