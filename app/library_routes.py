"""The library's own doors, for admins only: the pictures of an answer, an export as a zip, and a file to import.

To everybody else these addresses answer 404, as if they were not there. A picture is named by the answer that it
belongs to, so that one of a private conversation is not found; an export by a name that the program gave.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.library_exports import LibraryExports
from app.library_imports import MAX_BYTES, LibraryImports
from app.library_zip import zip_pieces
from app.picture_routes import OwnerOf
from conversations.errors import LogError
from conversations.store import ConversationStore

NOT_HERE = "There is nothing at this address."
_NOT_KEPT = {"cache-control": "no-store"}


class LibraryRoutes:
    """GET /library/answers/ID/pictures/PLACE[/thumb], GET /library/exports/NAME.zip, POST /library/imports."""

    def __init__(
        self,
        store: ConversationStore,
        exports: LibraryExports,
        imports: LibraryImports,
        owner_of: OwnerOf,
        may_review: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._exports = exports
        self._imports = imports
        self._owner_of = owner_of
        self._may_review = may_review

    def routes(self) -> list[Route]:
        return [
            Route("/library/answers/{answer:int}/pictures/{place:int}", self.picture, methods=["GET"]),
            Route("/library/answers/{answer:int}/pictures/{place:int}/thumb", self.thumb, methods=["GET"]),
            Route("/library/exports/{name}.zip", self.export, methods=["GET"]),
            Route("/library/imports", self.receive, methods=["POST"]),
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
            return _error(404, str(error))
        return StreamingResponse(
            zip_pieces(folder),
            media_type="application/zip",
            headers={
                "content-disposition": f'attachment; filename="{folder.name}.zip"',
                **_NOT_KEPT,
            },
        )

    async def receive(self, request: Request) -> Response:
        """Takes the body as a file to import, `?again=yes` also if it was before; the library's job tells how it goes.
        202, or {"error"} in a sentence."""
        owner = self._reviewer(request)
        if owner is None:
            return _not_here()
        folder, handed_on = None, False
        try:
            folder = await run_in_threadpool(self._imports.new_folder)
            file = folder / "records.json"
            if not await _written(request, file):
                return _error(
                    413, f"The file is too large: at most {MAX_BYTES / 1_000_000:,.0f} MB can be sent."
                )
            self._imports.start(owner, folder, file, again=request.query_params.get("again") == "yes")
            handed_on = True
            return JSONResponse({}, 202, headers=_NOT_KEPT)
        except LogError as error:
            return _error(409, str(error))
        except OSError as error:
            return _error(507, f"The file could not be kept ({error.strerror}); make room on the disk.")
        finally:
            if folder is not None and not handed_on:
                await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)

    def _reviewer(self, request: Request) -> str | None:
        owner = self._owner_of(request)
        return owner if owner is not None and self._may_review(owner) else None


async def _written(request: Request, file: Path) -> bool:
    """Whether the whole body is in the file now; False where it is too large."""
    num_bytes = 0
    async with await anyio.open_file(file, "xb") as place:
        async for piece in request.stream():
            num_bytes += len(piece)
            if num_bytes > MAX_BYTES:
                return False
            await place.write(piece)
    return True


def _not_here() -> JSONResponse:
    return _error(404, NOT_HERE)


def _error(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers=_NOT_KEPT)
