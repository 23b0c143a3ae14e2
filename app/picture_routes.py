"""The only doors for pictures: one in, with limits, and one out, to their owner.

A picture that was just sent in stands in no conversation yet. Its sender gets a ticket, signed by this process, that
names owner, picture and size; a question may only carry pictures with a ticket of its own owner. So nobody can make a
picture theirs by knowing its name.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from app import wording
from app.drafts import Drafts, TooManyDrafts
from app.fair_share import FairShare, NoPlace
from conversations.errors import LogError, PictureMissing, PictureRefused
from conversations.messages import ImageRef
from conversations.store import ConversationStore

_TICKET = re.compile(r"([0-9a-f]{64})\.(\d{1,6})\.(\d{1,6})\.([0-9a-f]{64})")

MAX_DECODED_AT_ONCE = 4
"""Pictures wait here, and not in the threads that all of the page's own work shares."""

MAX_TAKEN_AT_ONCE = 16
"""Pictures being received or waiting to be decoded; beyond, the sender is asked to try again."""

UPLOADS_OF_OWNER, UPLOADS_OF_ADDRESS = 4, 8
"""Of these; the page sends two at a time."""

SECONDS_TO_ARRIVE = 120.0

OwnerOf = Callable[[Request], str | None]


class TicketRefused(PictureMissing):
    """The ticket is not one that this process signed for this owner."""

    def __init__(self) -> None:
        super().__init__(
            "The page was started anew since this picture was added; remove it and add it again."
        )


class Tickets:
    """Signs and reads tickets. The key lives as long as the process: drafts do not outlive a restart."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)

    def sign(self, owner: str, picture: ImageRef) -> str:
        body = f"{picture.sha256}.{picture.width}.{picture.height}"
        return f"{body}.{self._signature(owner, body)}"

    def read(self, owner: str, ticket: str) -> ImageRef:
        """The picture of a ticket. Raises TicketRefused."""
        match = _TICKET.fullmatch(ticket) if isinstance(ticket, str) else None
        if match is None:
            raise TicketRefused
        sha256, width, height, signature = match.groups()
        if not hmac.compare_digest(self._signature(owner, f"{sha256}.{width}.{height}"), signature):
            raise TicketRefused
        return ImageRef(sha256, int(width), int(height))

    def _signature(self, owner: str, body: str) -> str:
        return hmac.new(self._key, f"{owner}\n{body}".encode(), hashlib.sha256).hexdigest()


class PictureRoutes:
    """GET /pictures/SHA256 and /pictures/SHA256/thumb, POST /pictures, GET /examples/NAME.png.

    `owner_of` gives the owner of a request, or None for one that has none: such a request gets nothing.
    """

    def __init__(
        self,
        store: ConversationStore,
        tickets: Tickets,
        owner_of: OwnerOf,
        examples: Path,
        *,
        drafts: Drafts | None = None,
        seconds_to_arrive: float = SECONDS_TO_ARRIVE,
    ) -> None:
        self._store = store
        self._tickets = tickets
        self._owner_of = owner_of
        self._drafts = drafts or Drafts(store.images.is_draft)
        self._seconds_to_arrive = seconds_to_arrive
        self._uploads = FairShare(UPLOADS_OF_OWNER, UPLOADS_OF_ADDRESS, wording.too_many_uploads)
        self._num_taken = 0  # counted in the event loop alone
        self._decoders = anyio.CapacityLimiter(MAX_DECODED_AT_ONCE)
        self._examples = {path.name: path for path in sorted(examples.glob("*.png"))}

    def routes(self) -> list[Route]:
        return [
            Route("/pictures", self.receive, methods=["POST"]),
            Route("/pictures/{sha256}", self.whole, methods=["GET"]),
            Route("/pictures/{sha256}/thumb", self.thumb, methods=["GET"]),
            Route("/examples/{name}", self.example, methods=["GET"]),
        ]

    async def receive(self, request: Request) -> Response:
        """Takes the body as a picture. 200 {"ticket", "sha256", "width", "height"}, or {"error"} in a sentence."""
        owner = self._owner_of(request)
        if owner is None:
            return _error(401, wording.NO_COOKIE)
        if self._num_taken >= MAX_TAKEN_AT_ONCE:
            return _error(429, wording.TOO_MANY_UPLOADS)
        address = request.client.host if request.client else None
        self._num_taken += 1
        try:
            with self._uploads.place(owner, address):
                await run_in_threadpool(self._drafts.check, owner, address)
                return await self._take(owner, address, request)
        except (NoPlace, TooManyDrafts) as error:
            return _error(429, str(error))
        finally:
            self._num_taken -= 1

    async def _take(self, owner: str, address: str | None, request: Request) -> Response:
        limit = self._store.images.max_bytes
        data = bytearray()
        try:
            with anyio.fail_after(self._seconds_to_arrive):
                async for chunk in request.stream():
                    data += chunk
                    if len(data) > limit:
                        return _error(413, wording.too_many_bytes(limit))
        except TimeoutError:
            return _error(408, wording.too_slow(self._seconds_to_arrive))
        try:
            picture = await anyio.to_thread.run_sync(
                self._keep, owner, address, bytes(data), limiter=self._decoders
            )
        except PictureRefused as error:
            return _error(400, str(error))
        except LogError as error:
            return _error(507, str(error))
        ticket = self._tickets.sign(owner, picture)
        return JSONResponse(
            {"ticket": ticket, "sha256": picture.sha256, "width": picture.width, "height": picture.height}
        )

    def _keep(self, owner: str, address: str | None, data: bytes) -> ImageRef:
        images = self._store.images
        picture = images.add(data)
        self._drafts.add(owner, picture.sha256, images.path(picture.sha256).stat().st_size, address)
        return picture

    async def whole(self, request: Request) -> Response:
        return await self._send(request, self._store.images.path)

    async def thumb(self, request: Request) -> Response:
        return await self._send(request, self._store.images.thumbnail)

    async def example(self, request: Request) -> Response:
        path = self._examples.get(request.path_params["name"])
        if path is None or self._owner_of(request) is None:
            return _error(404, "There is no such example.")
        return FileResponse(path, media_type="image/png")

    async def _send(self, request: Request, find: Callable[[str], Path]) -> Response:
        owner, sha256 = self._owner_of(request), request.path_params["sha256"]
        missing = _error(404, "There is no such picture here; it was deleted, or it is not yours.")
        if owner is None or not await run_in_threadpool(self._store.image_allowed, owner, sha256):
            return missing
        try:
            path = await run_in_threadpool(find, sha256)
        except PictureMissing:
            return missing
        # `private`: the browser may keep it, no proxy in between may. `vary`: not for who signs in after.
        return FileResponse(path, headers={"cache-control": "private, max-age=86400", "vary": "cookie"})


def _error(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status, headers={"cache-control": "no-store"})
