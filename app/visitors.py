"""Who is asking. An owner is the signed-in user, else a random id in a cookie that scripts cannot read.

The middleware gives each browser its cookie and sets the headers that keep a page from loading anything from elsewhere.
What is logged as the owner is a digest of the cookie: whoever reads the database cannot become a visitor.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class VisitorCookie:
    """ASGI middleware: a request without a visitor's cookie gets one, and every answer gets the safety headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        new = None if _known(scope) else secrets.token_urlsafe(32)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if new is not None:
                    headers.append("set-cookie", _set_cookie(new, secure=_is_https(scope)))
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _known(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                morsel = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            except CookieError:
                continue
            if morsel is not None and _COOKIE_VALUE.fullmatch(morsel.value):
                return True
    return False


def _is_https(scope: Scope) -> bool:
    forwarded = dict(scope["headers"]).get(b"x-forwarded-proto", b"")
    return scope.get("scheme") == "https" or forwarded.split(b",")[0].strip() == b"https"


def _set_cookie(value: str, *, secure: bool) -> str:
    ending = "; Secure" if secure else ""
    return f"{COOKIE}={value}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{ending}"
