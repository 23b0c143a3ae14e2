"""The page's front door where people sign in: our own form instead of the framework's, which says nothing to who must
wait, and the address behind each try."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.logins import ADDRESS, signed_in

FOLDER = Path(__file__).resolve().parent


def sign_in_html() -> str:
    """The whole page: nothing of it is fetched."""
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    return (FOLDER / "sign_in.html").read_text(encoding="utf-8").replace("/* STYLE */", style)


class SignIn:
    """ASGI middleware: who has not signed in gets the form at the page's own address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._html = sign_in_html()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["method"] == "GET" and path in ("", "/") and signed_in(Request(scope)) is None:
            await HTMLResponse(self._html, headers={"cache-control": "no-store"})(scope, receive, send)
            return
        client = scope.get("client")
        ADDRESS.set(client[0] if client else "")
        await self._app(scope, receive, send)
