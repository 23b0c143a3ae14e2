"""The results' own doors, for admins only: the pictures of held-out questions, and a result as a zip.

To everybody else these addresses answer 404, as if they were not there. A picture is named by a question's number and
its place in it, so that no path comes from a browser.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.adapter_names import name_for
from app.held_out import SIDE, SMALL_SIDE, find, picture_bytes, picture_file
from app.library_zip import zip_pieces
from app.picture_routes import OwnerOf
from app.result_copies import ResultCopies
from app.training_results import TrainingResults
from conversations.errors import LogError

NOT_HERE = "There is nothing at this address."


class ResultRoutes:
    """GET /training/results/JOB/pictures/NUMBER/PLACE[/thumb], GET /training/results/JOB/{result,merged}.zip."""

    def __init__(
        self, results: TrainingResults, copies: ResultCopies, owner_of: OwnerOf, may: Callable[[str], bool]
    ) -> None:
        self._results = results
        self._copies = copies
        self._owner_of = owner_of
        self._may = may

    def routes(self) -> list[Route]:
        picture = "/training/results/{job}/pictures/{number:int}/{place:int}"
        return [
            Route(picture, self.picture, methods=["GET"]),
            Route(f"{picture}/thumb", self.thumb, methods=["GET"]),
            Route("/training/results/{job}/{part}.zip", self.download, methods=["GET"]),
        ]

    async def picture(self, request: Request) -> Response:
        return await self._picture(request, SIDE)

    async def thumb(self, request: Request) -> Response:
        return await self._picture(request, SMALL_SIDE)

    async def _picture(self, request: Request, side: int) -> Response:
        if not self._is_admin(request):
            return _not_here()
        given = request.path_params

        def read() -> Response:
            job = self._results.job(given["job"])
            row = find(job.folder, given["number"])
            data, media_type = picture_bytes(
                picture_file(row, given["place"], job.config, job.folder.path), side
            )
            headers = {"cache-control": "private, max-age=3600", "vary": "cookie"}
            return Response(data, media_type=media_type, headers=headers)

        try:
            return await run_in_threadpool(read)
        except (LogError, OSError, ValueError):
            return _not_here()

    async def download(self, request: Request) -> Response:
        if not self._is_admin(request):
            return _not_here()
        job_id, part = request.path_params["job"], request.path_params["part"]
        try:
            folder = await run_in_threadpool(self._copies.folder, job_id, part)
            job = await run_in_threadpool(self._results.job, job_id)
        except LogError as error:
            return JSONResponse({"error": str(error)}, 404, headers={"cache-control": "no-store"})
        name = name_for(job.name, job.id, ()) + ("-merged" if part == "merged" else "")
        return StreamingResponse(
            zip_pieces(folder, name),
            media_type="application/zip",
            headers={
                "content-disposition": f'attachment; filename="{name}.zip"',
                "cache-control": "no-store",
            },
        )

    def _is_admin(self, request: Request) -> bool:
        owner = self._owner_of(request)
        return owner is not None and self._may(owner)


def _not_here() -> JSONResponse:
    return JSONResponse({"error": NOT_HERE}, 404, headers={"cache-control": "no-store"})
