"""Cookies, owners and the headers that keep the page at home."""

from __future__ import annotations

from http.cookies import SimpleCookie

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.visitors import COOKIE, COOKIE_SECONDS, VisitorCookie, owner_of


def _client(base_url: str = "http://127.0.0.1") -> TestClient:
    app = Starlette(
        routes=[
            Route("/{rest:path}", lambda request: PlainTextResponse(str(owner_of(None, request.cookies))))
        ]
    )
    return TestClient(VisitorCookie(app), base_url=base_url)


def _cookie(response: httpx.Response):
    jar = SimpleCookie(response.headers["set-cookie"])
    return jar[COOKIE]


def test_a_new_browser_gets_a_cookie_that_scripts_cannot_read() -> None:
    cookie = _cookie(_client().get("/"))
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and not cookie["secure"]
    assert len(cookie.value) == 43


def test_over_https_the_cookie_never_travels_in_the_clear() -> None:
    assert _cookie(_client("https://page.example").get("/"))["secure"]
    assert _cookie(_client().get("/", headers={"x-forwarded-proto": "https"}))["secure"]


def test_a_known_browser_keeps_its_cookie_and_stays_the_same_owner() -> None:
    client = _client()
    client.get("/")
    second, third = client.get("/else"), client.get("/else")
    assert "set-cookie" not in second.headers
    assert second.text == third.text and second.text.startswith("visitor:")
    assert client.cookies[COOKIE] not in second.text


@pytest.mark.parametrize("neighbour", ['prefs={"a":1}', "a=b c", 't=a"b', "e=\u00e9", "foo"])
def test_an_odd_cookie_of_another_program_changes_nothing(neighbour: str) -> None:
    """Every program on localhost shares its cookies with us, whatever it writes into them."""
    mine = f"{COOKIE}={'c' * 43}"
    for both in (f"{neighbour}; {mine}", f"{mine}; {neighbour}"):
        answer = _client().get("/else", headers={"cookie": both.encode("latin-1")})
        assert "set-cookie" not in answer.headers
        assert answer.text == owner_of(None, {COOKIE: "c" * 43})


def test_each_visit_lengthens_the_life_of_the_cookie() -> None:
    client = _client()
    first = _cookie(client.get("/"))
    again = _cookie(client.get("/"))
    assert again.value == first.value and again["max-age"] == str(COOKIE_SECONDS)
    assert "set-cookie" not in client.get("/else").headers


def test_two_browsers_are_two_owners() -> None:
    one, two = _client(), _client()
    for client in (one, two):
        client.get("/")
    assert one.get("/").text != two.get("/").text


def test_every_answer_forbids_what_comes_from_elsewhere() -> None:
    headers = _client().get("/").headers
    policy = headers["content-security-policy"]
    for part in (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "object-src 'none'",
    ):
        assert part in policy
    assert "http:" not in policy and "https:" not in policy and "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"


@given(st.text(max_size=60))
def test_a_cookie_that_we_did_not_make_names_nobody_and_never_a_user(value: str) -> None:
    owner = owner_of(None, {COOKIE: value})
    assert owner is None or owner.startswith("visitor:")


@pytest.mark.parametrize("value", ["", "user:admin", "a" * 42, "a" * 44, "../" * 14 + "a"])
def test_a_malformed_cookie_is_replaced(value: str) -> None:
    client = _client()
    client.cookies.set(COOKIE, value)
    assert "set-cookie" in client.get("/").headers


def test_a_signed_in_user_is_the_owner_whatever_the_cookie_says() -> None:
    assert owner_of("ann", {COOKIE: "a" * 43}) == "user:ann"


def test_an_owner_in_the_request_is_what_the_routes_see() -> None:
    request = Request({"type": "http", "headers": [(b"cookie", f"{COOKIE}={'b' * 43}".encode())]})
    assert owner_of(None, request.cookies) == owner_of(None, {COOKIE: "b" * 43})
