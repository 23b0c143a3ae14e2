"""Whether a request comes from this very page. A browser sends cookies along with what any other page asks it to send,
and the framework's own rule lets every origin in once the page has a public name; so requests are judged here."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from app.settings import is_loopback

ELSEWHERE = "This request was sent by another page, which this program does not answer."
OTHER_NAME = (
    "This page is open to this very machine only, by the name localhost or 127.0.0.1; "
    "start it with --auth to reach it by another name."
)


def refusal(scope: Scope, *, local_names_only: bool) -> str | None:
    """Why an http request is not to be answered, in a sentence; None for one that may pass.

    `local_names_only`: the page is meant for this machine alone and asks for no login, so a name that somebody else's
    name server lets lead here is refused.
    """
    headers = Headers(scope=scope)
    if local_names_only and not is_loopback(_name(headers.get("host", ""))):
        return OTHER_NAME
    site = headers.get("sec-fetch-site")
    if site is not None:
        # "same-site" is elsewhere too: another port of localhost, another name under the same domain.
        foreign = site in ("cross-site", "same-site") and not _follows_a_link(scope, headers)
    else:
        foreign = not _is_own(headers)
    return ELSEWHERE if foreign else None


def _follows_a_link(scope: Scope, headers: Headers) -> bool:
    return scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"


def _is_own(headers: Headers) -> bool:
    """For browsers that do not say the site: the origin, where one is named, is the host that was asked."""
    origin = headers.get("origin")
    if origin is None:
        return True
    asked = [headers.get("host", ""), *headers.get("x-forwarded-host", "").split(",")]
    try:
        host = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    return bool(host) and host in [each.strip().lower() for each in asked]


def _name(host: str) -> str:
    """A Host header without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
