"""The body of a request: JSON, and no more of it than there may be."""

from __future__ import annotations

from fastapi import Request

from model.door.api_error import ApiError
from model.door.byte_budget import HeldBytes


async def json_body(request: Request, max_bytes: int, advice: str, held: HeldBytes | None = None) -> bytes:
    """The bytes of a body that says it is JSON; `advice` is how to make a smaller one, `held` counts what has come.

    Raises ApiError (415, 413, 429) before more is read than may be, and ClientDisconnect.
    """
    _check_json(request)
    too_large = ApiError(
        413,
        "invalid_request",
        f"The request is larger than {max_bytes / 1e6:g} MB, which is the most; {advice}.",
    )
    declared = request.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large
    if held is not None and declared.isdecimal():
        held.check(int(declared))  # before it is sent in vain
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            raise too_large
        if held is not None:
            held.set(len(body))
    return bytes(body)


def _check_json(request: Request) -> None:
    """A web page elsewhere can post a form or plain text to a local worker unasked, but not JSON."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "invalid_request", f"The body's type is {kind[:40]!r}; send application/json.")
