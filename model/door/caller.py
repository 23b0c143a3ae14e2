"""Who may ask at all: the one with the token, or, where there is none, whoever is not a web page from elsewhere.

A browser sends a page's requests to any address, this machine's own included. It says where the page is from (Origin),
but a page whose name was made to lead here after it was loaded (DNS rebinding) counts as the same origin; then only
the name in Host gives it away.
"""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request

from model.door.api_error import ApiError


@dataclass(frozen=True, slots=True)
class CallerCheck:
    """`token` None asks for none; `loopback_only` means that the worker listens for this machine alone."""

    token: str | None
    loopback_only: bool = False

    def check_place(self, request: Request) -> None:
        """Without a token, no web page but this machine's own. Raises ApiError 403."""
        if self.token is not None:
            return
        origin = request.headers.get("Origin")
        if origin is not None and not _is_loopback(origin):
            raise _forbidden(f"web pages of {origin[:80]!r}")
        host = request.headers.get("Host", "")
        if self.loopback_only and not _is_loopback(f"//{host}"):
            raise _forbidden(f"callers who name it {host[:80]!r}")

    def check_token(self, request: Request) -> None:
        """Raises ApiError 401."""
        if self.token is None:
            return
        given = request.headers.get("Authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise ApiError(
                401, "unauthorized", "The token is missing or wrong; send it as Authorization: Bearer TOKEN."
            )


def _is_loopback(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:  # another name, or no address at all
        return False


def _forbidden(whom: str) -> ApiError:
    return ApiError(
        403, "forbidden", f"This worker has no token and refuses {whom}; start it with a token and send that."
    )
