"""Which of the framework's doors are open. It brings more than sixty routes: uploads, deep links, a proxy, direct
calls, an editor. This page needs a few; every other one, and every one that a new version brings, answers 404 like an
address that never was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starlette.responses import PlainTextResponse
from starlette.routing import Route, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN: tuple[tuple[str, str], ...] = (
    ("GET", "/"),
    ("GET", "/config"),
    ("GET", "/assets/{path:path}"),
    ("GET", "/static/{path:path}"),
    ("GET", "/theme.css"),
    ("GET", "/favicon.ico"),
    ("GET", "/robots.txt"),
    ("GET", "/manifest.json"),
    ("POST", "/login"),
    ("GET", "/logout"),
    ("GET", "/gradio_api/login_check"),
    # Asked by a tab whose line was cut, until it is answered: it then loads the page anew. It tells a number by chance.
    ("GET", "/gradio_api/app_id"),
    ("POST", "/gradio_api/queue/join"),
    ("GET", "/gradio_api/queue/data"),
    # The one name under which events that need no queue are sent; the function is named in the body.
    ("POST", "/gradio_api/run/predict"),
)
"""Method and path, as the framework spells them, of what a browser on this page asks for."""

STARTED = "/gradio_api/startup-events"
"""What the framework asks itself once, when it is launched: for this machine only."""

NOT_HERE = "There is nothing at this address."


class OpenRoutes:
    """ASGI middleware: lets pass what is in OPEN and the page's own routes, answers 404 to the rest."""

    def __init__(self, app: ASGIApp, *, own: Sequence[Route] = ()) -> None:
        self._app = app
        mine = [(method, route.path) for route in own for method in sorted(route.methods or ())]
        self._open = [(method, compile_path(path)[0]) for method, path in (*OPEN, *mine)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_open(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse(NOT_HERE, 404)(scope, receive, send)
        # A websocket, which nothing here uses, is closed by leaving it unanswered.

    def _is_open(self, scope: Scope) -> bool:
        if scope["type"] != "http":
            return False
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == STARTED:
            return _from_this_machine(scope)
        return any(
            pattern.fullmatch(path) for method, pattern in self._open if method in _asked(scope["method"])
        )


def _asked(method: str) -> Iterable[str]:
    """HEAD is GET without the body."""
    return ("GET", "HEAD") if method == "HEAD" else (method,)


def _from_this_machine(scope: Scope) -> bool:
    """Whether who asks has the very address that is asked: nobody else has it, and a proxy names its client."""
    client, server = scope.get("client"), scope.get("server")
    return client is not None and server is not None and client[0] == server[0]
