"""The library's doors in the served page: open to an admin, and not there for anybody else."""

from __future__ import annotations

import errno
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.library_exports import LibraryExports
from app.library_imports import LibraryImports
from app.library_request import LibraryRequest
from app.library_routes import LibraryRoutes
from conversations.store import ConversationStore
from tests.app.library_log import ANN, SmallLog, png, write
from tests.app.served_page import Person, ServedPage, served

LOGINS = {"logins": {"ann": "pw-ann"}, "admins": {"root": "pw-root"}}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with served(tmp_path_factory.mktemp("library"), **LOGINS) as serving:
        yield serving


@pytest.fixture(scope="module")
def log(page: ServedPage) -> SmallLog:
    return write(page.store)


@pytest.fixture(scope="module")
def root(page: ServedPage) -> Person:
    return Person(page.url, ("root", "pw-root"))


@pytest.fixture(scope="module")
def ann(page: ServedPage) -> Person:
    return Person(page.url, ("ann", "pw-ann"))


@pytest.fixture(scope="module")
def exported(page: ServedPage, log: SmallLog) -> str:
    """The name of an export beside the page's database, where the page looks for them."""
    folder = page.store.images.path(page.store.curation.item(log.wrong).pictures[0].sha256)
    while folder.name != "pictures":
        folder = folder.parent
    exports = LibraryExports(page.store, folder.parent / "exports")
    exports.start(LibraryRequest({"format": "llava", "selection": {}}).order(), "user:root")
    while exports.job.state.phase == "running":
        time.sleep(0.02)
    return exports.listed()[0][0]


def test_an_admin_sees_the_pictures_of_others_but_not_the_private_ones(
    root: Person, ann: Person, page: ServedPage, log: SmallLog
) -> None:
    whole = root.http.get(f"/library/answers/{log.wrong}/pictures/0")
    assert whole.status_code == 200 and whole.headers["content-type"] == "image/png"
    assert "private" in whole.headers["cache-control"]
    assert root.http.get(f"/library/answers/{log.wrong}/pictures/0/thumb").status_code == 200
    for answer, place in ((log.private, 0), (log.wrong, 1), (log.plain, 0), (10**30, 0)):
        assert root.http.get(f"/library/answers/{answer}/pictures/{place}").status_code == 404
    sha256 = page.store.curation.item(log.wrong).pictures[0].sha256
    assert root.http.get(f"/pictures/{sha256}").status_code == 404, "the chat's door is the owner's alone"


def test_an_export_comes_as_a_zip_by_its_own_name_only(root: Person, page: ServedPage, exported: str) -> None:
    answer = root.http.get(f"/library/exports/{exported}.zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="{exported}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert len(json.loads(packed.read(f"{exported}/train.json"))) == 2
    for name in (
        "20200101-000000-llava", "..%2fchats.db", "..", f"..%2fexports%2f{exported}", f"{exported}%2fimages", "x" * 5000
    ):  # fmt: skip
        assert root.http.get(f"/library/exports/{name}.zip").status_code == 404, name


def test_to_everybody_else_there_is_nothing(
    ann: Person, root: Person, page: ServedPage, log: SmallLog, exported: str
) -> None:
    before = set(page.store.history.tags(ANN))
    nobody = httpx.Client(base_url=page.url, timeout=180)
    for client in (ann.http, nobody):
        for path in (f"/library/answers/{log.wrong}/pictures/0", f"/library/exports/{exported}.zip"):
            refused = client.get(path)
            assert refused.status_code == 404 and refused.json() == {
                "error": "There is nothing at this address."
            }
        assert client.post("/library/imports", content=b"[]").status_code == 404
    assert "queue" not in str(ann.event("library_queue", {"filters": {}}))
    assert ann.event("library_decide", {"turn": log.wrong, "state": "rejected"}) == {}
    assert (
        page.store.curation.item(log.wrong).state == "pending" and set(page.store.history.tags(ANN)) == before
    )


def test_what_an_admin_sends_in_is_imported(root: Person, page: ServedPage) -> None:
    record = {
        "id": "1",
        "image": "a.png",
        "conversations": [{"from": "human", "value": "<image>\nHm?"}, {"from": "gpt", "value": "Green."}],
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("data/train.json", json.dumps([record]))
        made.writestr("data/images/a.png", png("green"))
    assert root.http.post("/library/imports", content=buffer.getvalue()).status_code == 202
    end = time.monotonic() + 180
    while not page.store.history.tags("user:root"):
        assert time.monotonic() < end
        time.sleep(0.05)
    (found,) = page.store.recent("user:root")
    assert page.store.load("user:root", found.id).shown[1].text == "Green."


def test_a_file_that_is_too_large_leaves_nothing_behind(
    root: Person, page: ServedPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.library_routes.MAX_BYTES", 1000)
    refused = root.http.post("/library/imports", content=b"[" * 5000)
    assert refused.status_code == 413 and "too large" in refused.json()["error"]


def doors(store: ConversationStore, exports: LibraryExports, folder: Path) -> TestClient:
    imports = LibraryImports(store, folder, exports.job)
    routes = LibraryRoutes(store, exports, imports, lambda request: "user:root", lambda owner: True)
    return TestClient(Starlette(routes=routes.routes()))


def test_a_file_that_finds_no_room_is_no_fault_of_the_sender_and_leaves_nothing_behind(
    store: ConversationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports, folder = LibraryExports(store, tmp_path / "exports"), tmp_path / "imports"
    client = doors(store, exports, folder)
    folder.touch()  # where a folder should be
    refused = client.post("/library/imports", content=b"[]")
    assert refused.status_code == 507 and "could not be kept (File exists)" in refused.json()["error"]
    folder.unlink()

    async def full(*_: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("app.library_routes._written", full)
        refused = client.post("/library/imports", content=b"[]")
    assert refused.status_code == 507 and "make room on the disk" in refused.json()["error"]
    assert list(folder.iterdir()) == [] and exports.job.state.phase == "none"
    assert client.post("/library/imports", content=b"[]").status_code == 202


def test_a_file_that_comes_while_another_is_imported_is_put_off(
    store: ConversationStore, tmp_path: Path
) -> None:
    exports, folder = LibraryExports(store, tmp_path / "exports"), tmp_path / "imports"
    client, free = doors(store, exports, folder), threading.Event()
    exports.job.start("export", "The export x", lambda report: str(free.wait(300)), when_stopped="")
    refused = client.post("/library/imports", content=b"[]")
    assert refused.status_code == 409 and "The export x is not finished" in refused.json()["error"]
    assert list(folder.iterdir()) == []
    free.set()
    exports.job.stop(seconds=180)
