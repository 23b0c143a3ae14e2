"""Only what the page needs of the framework's routes is open, and none of them is unknown to us."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.open_routes import OPEN, STARTED, OpenRoutes
from tests.app.served_page import ServedPage, served

OWN = {
    ("POST", "/pictures"), ("GET", "/pictures/{sha256}"), ("GET", "/pictures/{sha256}/thumb"),
    ("GET", "/examples/{name}"), ("POST", "/library/imports"), ("GET", "/library/exports/{name}.zip"),
    ("POST", "/conversations"), ("GET", "/conversations/{conversation}.json"),
    ("GET", "/conversations/{conversation}.zip"),
    ("GET", "/library/answers/{answer:int}/pictures/{place:int}"),
    ("GET", "/library/answers/{answer:int}/pictures/{place:int}/thumb"),
    ("GET", "/training/results/{job}/pictures/{number:int}/{place:int}"),
    ("GET", "/training/results/{job}/pictures/{number:int}/{place:int}/thumb"),
    ("GET", "/training/results/{job}/{part}.zip"),
}  # fmt: skip
CLOSED = """
    POST /login/ | GET /config/ | GET /svelte/{path:path} | GET /gradio_api/deep_link | GET /openapi.json
    GET /pwa_icon | GET /pwa_icon/{size} | GET /monitoring | GET /monitoring/summary | GET /monitoring/{key}
    GET /gradio_api/user | GET /gradio_api/user/ | GET /gradio_api/login_check/ | GET /gradio_api/token
    GET /gradio_api/token/ | GET /gradio_api/app_id/ | GET /gradio_api/dev/reload
    GET /gradio_api/runs | GET /gradio_api/runs/ | GET /gradio_api/info | GET /gradio_api/info/
    GET /gradio_api/openapi.json | GET /gradio_api/custom_component/{id}/{environment}/{type}/{file_name}
    GET /gradio_api/proxy={url_path:path} | GET /gradio_api/file={path_or_url:path} | GET /gradio_api/file/{path:path}
    POST /gradio_api/stream/{event_id} | POST /gradio_api/stream/{event_id}/close
    GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8
    GET /gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}
    GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file
    POST /gradio_api/reset | POST /gradio_api/reset/ | GET /gradio_api/heartbeat/{session_hash}
    POST /gradio_api/run/{api_name} | POST /gradio_api/run/{api_name}/
    POST /gradio_api/api/{api_name} | POST /gradio_api/api/{api_name}/
    POST /gradio_api/call/{api_name} | POST /gradio_api/call/{api_name}/ | GET /gradio_api/call/{api_name}/{event_id}
    POST /gradio_api/call/v2/{api_name} | POST /gradio_api/call/v2/{api_name}/
    GET /gradio_api/call/v2/{api_name}/{event_id} | POST /gradio_api/cancel
    POST /gradio_api/component_server | POST /gradio_api/component_server/ | GET /gradio_api/queue/status
    POST /gradio_api/upload | GET /gradio_api/upload_progress | GET /gradio_api/theme.css
    POST /gradio_api/process_recording | POST /gradio_api/vibe-edit | POST /gradio_api/vibe-edit/
    POST /gradio_api/undo-vibe-edit | POST /gradio_api/undo-vibe-edit/ | GET /gradio_api/vibe-code
    GET /gradio_api/vibe-code/ | POST /gradio_api/vibe-code | POST /gradio_api/vibe-code/
    POST /gradio_api/vibe-starter-queries | POST /gradio_api/vibe-starter-queries/
"""
"""What this page does not use: looked at one by one, for the version that requirements.txt pins."""


def closed() -> set[tuple[str, str]]:
    lines = [each.split() for line in CLOSED.splitlines() for each in line.split("|") if each.strip()]
    return {(method, path) for method, path in lines}


def routes_of(routes: list[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of every route, those of routers that were put in included; HEAD goes with GET."""
    for route in routes:
        if (inner := getattr(route, "original_router", None)) is not None:
            before = getattr(getattr(route, "include_context", None), "prefix", "") or ""
            yield from routes_of(inner.routes, prefix + before)
        elif getattr(route, "path", None) is not None:
            for method in getattr(route, "methods", None) or {"GET"}:
                yield ("GET" if method == "HEAD" else method), prefix + route.path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with served(tmp_path_factory.mktemp("page")) as serving:
        yield serving


def test_every_route_of_the_app_is_known_here_as_open_or_closed(page: ServedPage) -> None:
    """A new version's new routes fail here: they are closed until somebody has looked at them."""
    found = set(routes_of(page.app.routes))
    assert len(found) > 60  # so that a walk that finds nothing does not pass
    known = {*OPEN, *OWN, *closed(), ("GET", STARTED)}
    assert sorted(found - known) == []
    one_of_many = {("POST", "/gradio_api/run/predict")}  # the framework writes it as run/{api_name}
    assert known - found == one_of_many


def test_what_the_page_does_not_use_answers_404_to_everybody(page: ServedPage) -> None:
    with httpx.Client(base_url=page.url, timeout=180) as client:
        client.get("/")
        for method, path in sorted(closed()):
            filled = path.replace(":path", "").replace("{", "").replace("}", "")
            answer = client.request(method, filled, json={})
            assert (answer.status_code, answer.text) == (404, "There is nothing at this address."), filled


def test_no_detour_leads_to_a_closed_route(page: ServedPage) -> None:
    with httpx.Client(base_url=page.url, timeout=180) as client:
        for path in (
            "/gradio_api//upload", "//gradio_api/upload", "/assets/..%2f..%2fgradio_api/info", "/gradio_api/run/turn",
            "/gradio_api/%66ile=app.py", "/gradio_api/queue/../info", "/nothing", "/GRADIO_API/info", "/monitoring/",
            "/gradio_api/run/predict/", "/?__theme=dark%0a/../gradio_api/info/x", "/docs", "/redoc",
        ):  # fmt: skip
            answer = client.get(path)
            assert answer.status_code in (403, 404) or "LLaVA Loop" in answer.text, path
        assert client.request("DELETE", "/").status_code == 404
        assert client.get("/gradio_api/run/predict").status_code == 404


def test_what_the_page_needs_is_open(page: ServedPage) -> None:
    with httpx.Client(base_url=page.url, follow_redirects=True, timeout=180) as client:
        for path in (
            "/",
            "/config",
            "/theme.css",
            "/favicon.ico",
            "/gradio_api/login_check",
            "/gradio_api/app_id",
            "/logout",
            "/robots.txt",
        ):
            assert client.get(path).status_code == 200, path
        assert client.head("/").status_code == 200


def test_history_and_monitoring_are_off_behind_the_closed_doors_too(
    page: ServedPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenRoutes, "_is_open", lambda self, scope: True)
    with httpx.Client(base_url=page.url, timeout=180) as behind:
        assert (
            behind.get("/gradio_api/token").status_code == 200
        )  # so the refusals below are the framework's own
        for path in ("/monitoring", "/monitoring/summary", "/monitoring/some-key", "/gradio_api/runs"):
            assert behind.get(path).status_code in (403, 404), path
    assert not [path for _, path in routes_of(page.app.routes) if "run-history" in path]


def test_what_the_framework_asks_itself_is_for_this_machine_only() -> None:
    inner = Starlette(routes=[Route(STARTED, lambda request: PlainTextResponse("true"))])
    app = OpenRoutes(inner)
    assert TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 5)).get(STARTED).text == "true"
    assert (
        TestClient(app, base_url="http://127.0.0.1", client=("203.0.113.5", 5)).get(STARTED).status_code
        == 404
    )


def test_behind_a_proxys_prefix_the_same_is_open_and_closed() -> None:
    inner = Starlette(routes=[Route("/config", lambda request: PlainTextResponse("config"))])
    client = TestClient(OpenRoutes(inner), root_path="/loop")
    assert client.get("/loop/config").text == "config"
    assert client.get("/loop/gradio_api/info").status_code == 404
