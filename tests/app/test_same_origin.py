"""Requests that another page makes a browser send are refused; the page's own, and links to it, are not."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.visitors import COOKIE, VisitorCookie

PUBLIC, LOCAL = "https://abc.gradio.live", "http://127.0.0.1:7860"
EVIL = "https://evil.example"


def _client(base_url: str = PUBLIC, *, local_names_only: bool = False) -> TestClient:
    def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("secret")

    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])
    client = TestClient(VisitorCookie(app, local_names_only=local_names_only), base_url=base_url)
    client.cookies.set(COOKIE, "a" * 43)
    client.cookies.set("access-token-1234", "signed-in")
    return client


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": "null"},
        {"origin": "http://[bad"},
        {"origin": "https://abc.gradio.live.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors", "origin": PUBLIC},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_another_page_sends_is_refused_login_cookie_or_not(method: str, headers: dict[str, str]) -> None:
    answer = _client().request(method, "/", headers=headers)
    assert answer.status_code == 403 and "secret" not in answer.text
    assert "content-security-policy" in answer.headers


def test_a_form_on_another_page_is_refused_and_a_link_is_not() -> None:
    there = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert _client().post("/", headers=there).status_code == 403
    assert _client().get("/", headers=there).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": PUBLIC},
        {"origin": "https://page.example", "x-forwarded-host": "page.example, inner"},
        {"origin": PUBLIC, "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_what_the_page_itself_sends_passes(headers: dict[str, str]) -> None:
    assert _client().post("/", headers=headers).text == "secret"


@pytest.mark.parametrize(
    "host", ["rebound.example", "rebound.example:7860", "", "127.0.0.1.evil.example", "[bad"]
)
def test_a_page_for_this_machine_answers_to_no_other_name(host: str) -> None:
    assert _client(LOCAL, local_names_only=True).get("/", headers={"host": host}).status_code == 403
    assert _client(LOCAL).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "127.0.0.2"])
def test_a_page_for_this_machine_answers_to_its_own_names(host: str) -> None:
    assert _client(LOCAL, local_names_only=True).get("/", headers={"host": host}).status_code == 200
