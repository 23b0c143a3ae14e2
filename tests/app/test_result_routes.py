"""The results' doors: a run's pictures and zips for admins, and nothing at all for everybody else."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.result_parts import ResultParts
from app.worker_status import WorkerStatus
from tests.app.finished_run import JOB, FinishedJobs, finish
from tests.app.test_result_events import Worker


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def door(runs: Path) -> Iterator[TestClient]:
    """Who asks is named by a header, in place of a login."""
    jobs = FinishedJobs(finish(runs, JOB, "Corrected colours", runs / "base"))
    (runs / JOB / "result").mkdir()
    (runs / JOB / "result" / "adapter_config.json").write_text("{}")
    (runs / JOB / "result" / "leak").symlink_to("/etc/passwd")
    worker = Worker(runs)
    parts = ResultParts.of(jobs, runs, worker, lambda urls: worker, lambda: WorkerStatus("Ready"), worker, {})
    routes = parts.routes(lambda request: request.headers.get("who"), lambda owner: owner == "user:root")
    with TestClient(Starlette(routes=routes), headers={"who": "user:root"}) as client:
        yield client


PICTURE, ZIP = f"/training/results/{JOB}/pictures/1/0", f"/training/results/{JOB}/result.zip"


def test_an_admin_gets_pictures_and_the_result_as_a_zip_without_its_links(door: TestClient) -> None:
    for address in (PICTURE, f"{PICTURE}/thumb"):
        given = door.get(address)
        assert given.status_code == 200 and given.headers["content-type"] == "image/png"
        assert "private" in given.headers["cache-control"]
        assert Image.open(io.BytesIO(given.content)).size == (48, 32)
    given = door.get(ZIP)
    assert given.headers["content-disposition"] == 'attachment; filename="Corrected-colours.zip"'
    assert zipfile.ZipFile(io.BytesIO(given.content)).namelist() == ["Corrected-colours/adapter_config.json"]


@pytest.mark.parametrize("who", ["user:ann", "visitor:x", ""])
def test_to_everybody_else_the_doors_are_not_there(door: TestClient, who: str) -> None:
    for address in (PICTURE, f"{PICTURE}/thumb", ZIP):
        given = door.get(address, headers={"who": who})
        assert given.status_code == 404 and given.json() == {"error": "There is nothing at this address."}


@pytest.mark.parametrize(
    "address",
    [
        f"/training/results/{JOB}/pictures/99/0",
        f"/training/results/{JOB}/pictures/1/7",
        f"/training/results/{JOB}/pictures/-1/0",
        f"/training/results/{'e' * 32}/pictures/1/0",
        "/training/results/..%2f..%2fetc/pictures/1/0",
        f"/training/results/{JOB}/merged.zip",
        f"/training/results/{JOB}/data.zip",
        f"/training/results/{JOB}/..%2fresult.zip",
        f"/training/results/{'e' * 32}/result.zip",
    ],
)
def test_what_is_not_a_runs_is_not_found(door: TestClient, address: str) -> None:
    assert door.get(address).status_code == 404


def test_a_picture_that_is_gone_or_none_is_not_found(door: TestClient, runs: Path) -> None:
    file = runs / JOB / "data" / "images" / "1.png"
    file.write_text("no picture")
    assert door.get(PICTURE).status_code == 404
    file.unlink()
    assert door.get(PICTURE).status_code == 404
