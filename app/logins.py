"""Signing in: names and passwords are checked here, and who guesses has to wait longer and longer.

The framework asks; it neither counts nor waits. It also leaves routes of our own open, so they ask who is signed in.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from app import wording
from app.attempts import Attempts
from app.fair_share import network_of
from app.visitors import owner_of

ADDRESS: ContextVar[str] = ContextVar("login_address", default="")
"""Where the login that is being checked comes from; the framework hands on name and password only."""


class Logins:
    """Checks a name and password."""

    def __init__(self, passwords: Mapping[str, str], attempts: Attempts | None = None) -> None:
        self._digests = {name: _digest(password) for name, password in passwords.items()}
        self._attempts = attempts or Attempts()

    def check(self, name: str, password: str) -> bool:
        """Raises HTTPException 429, with a sentence, for who must wait first: right passwords included."""
        network = network_of(ADDRESS.get())
        right = hmac.compare_digest(self._digests.get(name, b"\0" * 32), _digest(password))
        if (seconds := self._attempts.seconds_to_wait(name, network)) > 0:
            wait = math.ceil(seconds)
            raise HTTPException(429, wording.too_many_logins(wait), {"Retry-After": str(wait)})
        if right:
            self._attempts.right(name, network)
        else:
            self._attempts.wrong(name, network)
        return right


def route_owner(login_needed: bool) -> Callable[[Request], str | None]:
    """For our own routes: the owner of a request, or None if it must sign in first."""

    def owner(request: Request) -> str | None:
        user = signed_in(request)
        return None if login_needed and user is None else owner_of(user, request.cookies)

    return owner


def signed_in(request: Request) -> str | None:
    """The user whose login token this browser holds; the framework keeps them by the app."""
    app = request.app
    for kind in ("access-token", "access-token-unsecure"):
        token = request.cookies.get(f"{kind}-{app.cookie_id}")
        if token and (name := app.tokens.get(token)):
            return str(name)
    return None


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "replace")).digest()
