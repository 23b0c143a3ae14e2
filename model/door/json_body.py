"""The body of a request: JSON, and no more of it than there may be."""

from __future__ import annotations

from fastapi import Request

from model.door.api_error import ApiError


async def json_body(request: Request, max_bytes: int) -> bytes:
    """The bytes of a body that says it is JSON. Raises ApiError (415, 413) before more is read than may be."""
    _check_json(request)
    return await _body(request, max_bytes)


def _check_json(request: Request) -> None:
    """A web page elsewhere can post a form or plain text to a local worker unasked, but not JSON."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "invalid_request", f"The body's type is {kind[:40]!r}; send application/json.")


async def _body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    declared = request.headers.get("Content-Length", "")
    too_large = ApiError(
        413,
        "invalid_request",
        f"The request is larger than {max_bytes / 1e6:g} MB, which is the most; send pictures of at most 1,344 pixels "
        "a side (larger ones are shrunk anyway) or fewer of them.",
    )
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)
