"""Every answer of the real page carries the policy that keeps it at home: also what goes wrong, and what the framework
answers before it asks us."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from app.outer_door import OuterDoor
from conversations.messages import ImageRef
from tests.app.served_page import Person, ServedPage, served
from tests.app.test_open_routes import OWN

ANN, ROOT = ("ann", "one"), ("root", "three")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    logins = {"logins": dict([ANN]), "admins": dict([ROOT])}
    with served(tmp_path_factory.mktemp("page"), **logins) as serving:
        yield serving


@pytest.fixture(scope="module")
def stranger(page: ServedPage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.url, timeout=180) as client:
        yield client


@pytest.fixture(scope="module")
def root(page: ServedPage) -> httpx.Client:
    return Person(page.url, ROOT).http


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "green").save(buffer, "PNG")
    return buffer.getvalue()


def unprotected(told: dict[str, httpx.Response]) -> list[str]:
    """The answers that lack a part of it."""
    return [
        name
        for name, answer in told.items()
        if "default-src 'self'" not in (policy := answer.headers.get("content-security-policy", ""))
        or "img-src 'self' data: blob:" not in policy
        or answer.headers.get("x-content-type-options") != "nosniff"
        or answer.headers.get("referrer-policy") != "no-referrer"
    ]


def test_every_answer_to_who_signed_in_carries_the_policy(page: ServedPage, root: httpx.Client) -> None:
    sent = root.post("/pictures", content=png()).json()
    conversation, picture = page.store.create("user:root").id, ImageRef(sent["sha256"], 40, 30)
    turn = page.store.add_question("user:root", conversation, "?", [picture])
    answer = Person(page.url, ROOT).turn({"kind": "retry", "key": "policy", "turn": turn.id})[-1]["thread"]
    result = f"/training/results/{page.result.id}"
    paths = [
        "/", "/config", "/theme.css", "/examples/scene-1.png",
        f"/pictures/{sent['sha256']}", f"/pictures/{sent['sha256']}/thumb",
        f"/conversations/{conversation}.json", f"/conversations/{conversation}.zip",
        f"/library/answers/{answer['answer']}/pictures/0", f"/library/answers/{answer['answer']}/pictures/0/thumb",
        f"{result}/pictures/1/0", f"{result}/pictures/1/0/thumb", f"{result}/result.zip",
    ]  # fmt: skip
    told = {path: root.get(path) for path in paths}
    whole = told[f"/conversations/{conversation}.json"].content
    told["a conversation that is read"] = root.post("/conversations", content=whole)
    assert {name: each.status_code for name, each in told.items() if each.status_code != 200} == {}
    told["an import"] = root.post("/library/imports", content=b"no records")
    assert told["an import"].status_code == 202
    told["no picture"] = root.post("/pictures", content=b"x")
    assert told["no picture"].status_code == 400
    assert unprotected(told) == []


@pytest.mark.parametrize("login", [None, ANN, ROOT], ids=["stranger", "ann", "root"])
def test_every_route_of_ours_carries_the_policy_when_it_refuses(
    page: ServedPage, login: tuple[str, str] | None
) -> None:
    client = Person(page.url, login).http if login else httpx.Client(base_url=page.url, timeout=180)
    told = {}
    for method, path in sorted(OWN):
        filled = re.sub(r"\{\w+:int\}", "987", re.sub(r"\{\w+\}", "0" * 32, path))
        told[f"{method} {path}"] = client.request(method, filled, content=b"x")
    refused = {name: each.status_code for name, each in told.items() if name != "POST /library/imports"}
    assert set(refused.values()) <= {400, 401, 404}, refused
    assert unprotected(told) == []


def test_what_the_framework_answers_carries_the_policy(page: ServedPage, stranger: httpx.Client) -> None:
    told = {path: stranger.get(path) for path in ("/", "/config", "/nothing", "/gradio_api/info")}
    told["foreign"] = stranger.get("/", headers={"origin": "https://evil.example"})
    told["wrong login"] = stranger.post("/login", data={"username": "nobody", "password": "x"})
    told["login without a form"] = stranger.post("/login")
    told["logout"] = stranger.get("/logout")
    statuses = {name: answer.status_code for name, answer in told.items()}
    assert (statuses["foreign"], statuses["wrong login"], statuses["/nothing"]) == (403, 400, 404)
    assert unprotected(told) == []


def test_a_question_that_a_browser_asks_before_it_sends_carries_the_policy_and_is_for_this_page_only(
    page: ServedPage, stranger: httpx.Client
) -> None:
    def asked(origin: str) -> httpx.Response:
        headers = {"origin": origin, "access-control-request-method": "POST"}
        return stranger.options("/pictures", headers=headers)

    mine, foreign = asked(page.url.rstrip("/")), asked("https://evil.example")
    assert (mine.status_code, foreign.status_code) == (200, 403)
    assert "access-control-allow-origin" not in foreign.headers
    assert unprotected({"mine": mine, "foreign": foreign}) == []


def test_what_nobody_foresaw_is_said_in_words_with_the_policy(
    page: ServedPage, root: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bool:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr(page.store, "image_allowed", broken)
    with caplog.at_level(logging.ERROR):
        failed = root.get(f"/pictures/{'0' * 64}")
    assert failed.status_code == 500 and unprotected({"failed": failed}) == []
    assert "ZeroDivisionError" in failed.json()["error"] and failed.json()["error"].endswith(".")
    assert "secret" not in failed.text and failed.headers["cache-control"] == "no-store"


def test_a_page_that_the_framework_serves_without_our_layer_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def never_called(self: OuterDoor, app: object) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(OuterDoor, "lifespan", never_called)
    with pytest.raises(RuntimeError, match="outer door"), served(tmp_path):
        pass
