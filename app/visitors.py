"""Who is asking. An owner is the signed-in user, else a random id in a cookie that scripts cannot read.

The middleware gives each browser its cookie and sets the headers that keep a page from loading anything from elsewhere.
What is logged as the owner is a digest of the cookie: whoever reads the database cannot become a visitor.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.same_origin import refusal

COOKIE = "llava_loop_visitor"
COOKIE_SECONDS = 400 * 24 * 3600
"""As long as browsers keep a cookie at most."""

_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        # The framework's own page starts with inline scripts and compiles its templates in the browser.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)

_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


def owner_of(username: str | None, cookies: Mapping[str, str]) -> str | None:
    """The owner behind a request: `user:NAME`, `visitor:DIGEST`, or None for a request without a cookie of ours."""
    if username:
        return f"user:{username}"
    value = cookies.get(COOKIE, "")
    if not _COOKIE_VALUE.fullmatch(value):
        return None
    return f"visitor:{hashlib.sha256(value.encode('ascii')).hexdigest()}"


def username_of(owner: str) -> str | None:
    """The name behind an owner who signed in; None for a visitor."""
    return owner.removeprefix("user:") if owner.startswith("user:") else None


class VisitorCookie:
    """ASGI middleware: a request without a visitor's cookie gets one, every answer gets the safety headers, and what
    another page makes a browser send is refused with 403.

    `local_names_only`: answer only requests that name this machine by a loopback name.
    """

    def __init__(self, app: ASGIApp, *, local_names_only: bool = False) -> None:
        self._app = app
        self._local_names_only = local_names_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _given(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if given is not None:
                    headers.append("set-cookie", _set_cookie(given, secure=_is_https(scope)))
            await send(message)

        if (words := refusal(scope, local_names_only=self._local_names_only)) is not None:
            given = None  # another page shall not give this browser an identity either
            await PlainTextResponse(words, 403)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def _given(scope: Scope) -> str | None:
    """The cookie's value to set with the answer: a new one, or on a visit of the page the old one, so that it lives on.

    Read as the framework reads it: were the two to differ, a visitor would be somebody else with each request.
    """
    request = Request(scope)
    if owner_of(None, request.cookies) is None:
        return secrets.token_urlsafe(32)
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return request.cookies[COOKIE] if scope["method"] == "GET" and path in ("", "/") else None


def _is_https(scope: Scope) -> bool:
    forwarded = dict(scope["headers"]).get(b"x-forwarded-proto", b"")
    return scope.get("scheme") == "https" or forwarded.split(b",")[0].strip() == b"https"


def _set_cookie(value: str, *, secure: bool) -> str:
    ending = "; Secure" if secure else ""
    return f"{COOKIE}={value}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{ending}"
