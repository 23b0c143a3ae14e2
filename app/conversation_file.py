"""One conversation as a file, for its owner: out as JSON or as a zip of Markdown and pictures, in as the same JSON.

Building and reading such a file takes memory, so only a few are handled at the same time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app import wording
from app.fair_share import FairShare, NoPlace
from app.picture_routes import OwnerOf
from conversations.errors import DiskFull, LogError, NotFound, UnwritableFolder
from conversations.store import ConversationStore

MAX_BYTES = 100_000_000
"""Of a file that is read; its pictures are in it, and all of it is in memory at once."""

FILES_OF_OWNER, FILES_OF_ADDRESS, FILES_OF_ALL = 2, 4, 4
SECONDS_TO_ARRIVE = 300.0
_NAME_LENGTH = 60

_NOT_HERE = "There is no such conversation here; it was deleted, or it is not yours."


class ConversationFiles:
    """GET /conversations/ID.json and /conversations/ID.zip, POST /conversations.

    `owner_of` gives the owner of a request, or None for one that has none: such a request gets nothing.
    """

    def __init__(
        self,
        store: ConversationStore,
        owner_of: OwnerOf,
        *,
        max_bytes: int = MAX_BYTES,
        seconds_to_arrive: float = SECONDS_TO_ARRIVE,
    ) -> None:
        self._store = store
        self._owner_of = owner_of
        self._max_bytes = max_bytes
        self._seconds_to_arrive = seconds_to_arrive
        self._places = FairShare(FILES_OF_OWNER, FILES_OF_ADDRESS, wording.too_many_files)
        self._num_taken = 0  # counted in the event loop alone

    def routes(self) -> list[Route]:
        return [
            Route("/conversations", self.receive, methods=["POST"]),
            Route("/conversations/{conversation}.json", self.as_json, methods=["GET"]),
            Route("/conversations/{conversation}.zip", self.as_markdown, methods=["GET"]),
        ]

    async def as_json(self, request: Request) -> Response:
        return await self._send(request, self._store.exchange.json, "json")

    async def as_markdown(self, request: Request) -> Response:
        return await self._send(request, self._store.exchange.markdown, "zip")

    async def receive(self, request: Request) -> Response:
        """Keeps the body as a new conversation. 200 {"conversation": id}, or {"error"} in a sentence."""
        owner = self._owner_of(request)
        if owner is None:
            return _error(401, wording.NO_COOKIE)

        async def keep() -> Response:
            data = await self._body(request)
            if isinstance(data, Response):
                return data
            kept = await run_in_threadpool(self._store.exchange.read_json, owner, data)
            return JSONResponse({"conversation": kept}, headers={"cache-control": "no-store"})

        return await self._placed(owner, request, keep)

    async def _send(self, request: Request, make: Callable[[str, str], bytes], kind: str) -> Response:
        owner, conversation = self._owner_of(request), request.path_params["conversation"]
        if owner is None:
            return _error(404, _NOT_HERE)

        async def send() -> Response:
            title = (await run_in_threadpool(self._store.load, owner, conversation)).title
            data = await run_in_threadpool(make, owner, conversation)
            headers = {
                "content-disposition": _attachment(title, kind),
                "cache-control": "no-store",
                "x-content-type-options": "nosniff",
            }
            return Response(data, media_type=f"application/{kind}", headers=headers)

        return await self._placed(owner, request, send)

    async def _placed(self, owner: str, request: Request, do: Callable) -> Response:
        """Hold a place while it is done, and put what is refused into a sentence."""
        if self._num_taken >= FILES_OF_ALL:
            return _error(429, wording.TOO_MANY_FILES)
        self._num_taken += 1
        try:
            with self._places.place(owner, request.client.host if request.client else None):
                return await do()
        except NotFound:
            return _error(404, _NOT_HERE)
        except NoPlace as error:
            return _error(429, str(error))
        except (DiskFull, UnwritableFolder) as error:
            return _error(507, str(error))
        except LogError as error:
            return _error(400, str(error))
        finally:
            self._num_taken -= 1

    async def _body(self, request: Request) -> bytes | Response:
        data = bytearray()
        try:
            with anyio.fail_after(self._seconds_to_arrive):
                async for chunk in request.stream():
                    data += chunk
                    if len(data) > self._max_bytes:
                        return _error(413, wording.file_too_large(self._max_bytes))
        except TimeoutError:
            return _error(408, wording.file_too_slow(self._seconds_to_arrive))
        return bytes(data)


def _attachment(title: str, kind: str) -> str:
    """A file's name from what a person wrote: letters, digits and dashes, in full and for old programs in ASCII."""
    name = "-".join(re.findall(r"\w+", title))[:_NAME_LENGTH].strip("-_") or "conversation"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").strip("-_")
    whole = quote(f"{name}.{kind}", safe="")
    return f"attachment; filename=\"{plain or 'conversation'}.{kind}\"; filename*=UTF-8''{whole}"


def _error(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status, headers={"cache-control": "no-store"})
