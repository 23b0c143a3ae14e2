"""The library's own doors, for admins only: the pictures of an answer, and an export as a zip.

To everybody else these addresses answer 404, as if they were not there. A picture is named by the answer that it
belongs to, so that one of a private conversation is not found; an export by a name that the program gave.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.library_exports import LibraryExports
from app.library_zip import zip_pieces
from app.picture_routes import OwnerOf
from conversations.errors import LogError
from conversations.store import ConversationStore

NOT_HERE = "There is nothing at this address."


class LibraryRoutes:
    """GET /library/answers/ID/pictures/PLACE[/thumb], GET /library/exports/NAME.zip."""

    def __init__(
        self,
        store: ConversationStore,
        exports: LibraryExports,
        owner_of: OwnerOf,
        may_review: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._exports = exports
        self._owner_of = owner_of
        self._may_review = may_review

    def routes(self) -> list[Route]:
        return [
            Route("/library/answers/{answer:int}/pictures/{place:int}", self.picture, methods=["GET"]),
            Route("/library/answers/{answer:int}/pictures/{place:int}/thumb", self.thumb, methods=["GET"]),
            Route("/library/exports/{name}.zip", self.export, methods=["GET"]),
        ]

    async def picture(self, request: Request) -> Response:
        return await self._picture(request, small=False)

    async def thumb(self, request: Request) -> Response:
        return await self._picture(request, small=True)

    async def _picture(self, request: Request, *, small: bool) -> Response:
        if self._reviewer(request) is None:
            return _not_here()
        answer, place = request.path_params["answer"], request.path_params["place"]

        def find() -> Response:
            pictures = self._store.curation.item(answer).pictures
            if place >= len(pictures):
                return _not_here()
            sha256 = pictures[place].sha256
            path = self._store.images.thumbnail(sha256) if small else self._store.images.path(sha256)
            # `private`: no proxy in between may keep it. `vary`: not for who signs in after.
            return FileResponse(path, headers={"cache-control": "private, max-age=3600", "vary": "cookie"})

        try:
            return await run_in_threadpool(find)
        except LogError:
            return _not_here()

    async def export(self, request: Request) -> Response:
        if self._reviewer(request) is None:
            return _not_here()
        try:
            folder = await run_in_threadpool(self._exports.folder, request.path_params["name"])
        except LogError as error:
            return JSONResponse({"error": str(error)}, 404, headers={"cache-control": "no-store"})
        return StreamingResponse(
            zip_pieces(folder),
            media_type="application/zip",
            headers={
                "content-disposition": f'attachment; filename="{folder.name}.zip"',
                "cache-control": "no-store",
            },
        )

    def _reviewer(self, request: Request) -> str | None:
        owner = self._owner_of(request)
        return owner if owner is not None and self._may_review(owner) else None


def _not_here() -> JSONResponse:
    return JSONResponse({"error": NOT_HERE}, 404, headers={"cache-control": "no-store"})
