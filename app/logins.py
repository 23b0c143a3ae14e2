"""Signing in: names and passwords are checked here, and too many wrong ones lock a name out for a while.

The framework asks; it neither counts nor waits. It also leaves routes of our own open, so they ask who is signed in.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from starlette.requests import Request

from app.visitors import owner_of

MAX_WRONG = 5
LOCKED_SECONDS = 300.0
NUM_NAMES_WATCHED = 10_000


class Logins:
    """Checks a name and password. After five wrong passwords a name is locked for five minutes, right ones included."""

    def __init__(self, passwords: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._digests = {name: _digest(password) for name, password in passwords.items()}
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, name: str, password: str) -> bool:
        now = self._clock()
        right = hmac.compare_digest(self._digests.get(name, b"\0" * 32), _digest(password))
        with self._lock:
            recent = [at for at in self._wrong.get(name, []) if now - at < LOCKED_SECONDS]
            if len(recent) >= MAX_WRONG:
                return False
            if right:
                self._wrong.pop(name, None)
                return True
            self._wrong[name] = [*recent, now]
            self._wrong.move_to_end(name)
            while len(self._wrong) > NUM_NAMES_WATCHED:
                self._wrong.popitem(last=False)
            return False


def route_owner(login_needed: bool) -> Callable[[Request], str | None]:
    """For our own routes: the owner of a request, or None if it must sign in first."""

    def owner(request: Request) -> str | None:
        user = _signed_in(request)
        return None if login_needed and user is None else owner_of(user, request.cookies)

    return owner


def _signed_in(request: Request) -> str | None:
    """The user whose login token this browser holds; the framework keeps them by the app."""
    app = request.app
    for kind in ("access-token", "access-token-unsecure"):
        token = request.cookies.get(f"{kind}-{app.cookie_id}")
        if token and (name := app.tokens.get(token)):
            return str(name)
    return None


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8")).digest()
