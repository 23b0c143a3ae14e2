"""People who sign in at the real page: nobody gets at another's things, whatever ids they send; and every answer
carries the policy that keeps the page at home."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.app.served_page import Person, ServedPage, served

PEOPLE = {"ann": "one", "bob": "two"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with served(tmp_path_factory.mktemp("page"), logins=PEOPLE, admins={"root": "three"}) as serving:
        yield serving


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def a_conversation(page: ServedPage, name: str) -> tuple[Person, dict[str, Any]]:
    """Somebody who signed in and asked about a picture of their own, and all ids of it."""
    person = Person(page.url, (name, PEOPLE[name]))
    sent = person.send_picture(png("red" if name == "ann" else "blue")).json()
    text = f"The secret of {name}"
    person.turn({"kind": "ask", "key": f"key-{name}", "text": text, "pictures": [sent["ticket"]]})
    (summary,) = page.store.recent(f"user:{name}", limit=1)
    question, answer = page.store.load(f"user:{name}", summary.id).shown
    return person, {
        "conversation": summary.id,
        "question": question.id,
        "answer": answer.id,
        **sent,
        "text": text,
    }


def attempts(theirs: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every event that the page knows, with somebody else's ids."""
    conversation, question, answer = theirs["conversation"], theirs["question"], theirs["answer"]
    ask = {"kind": "ask", "text": "x"}
    return [
        ("open", {"conversation": conversation}),
        ("list", {"search": "secret", "shown": 10_000}),
        ("stop", {"conversation": conversation}),
        ("version", {"turn": answer, "step": -1}),
        ("version", {"turn": question, "step": 1}),
        ("rate", {"turn": answer, "rating": "down"}),
        ("rename", {"conversation": conversation, "title": "stolen", "open": conversation}),
        ("delete", {"conversation": conversation}),
        ("restart", {}),
        ("turn", {**ask, "key": "t1", "conversation": conversation}),
        ("turn", {"kind": "retry", "key": "t2", "turn": question}),
        ("turn", {"kind": "edit", "key": "t3", "turn": question, "text": "changed"}),
        ("turn", {"kind": "edit", "key": "t4", "turn": answer, "text": "changed"}),
        ("turn", {**ask, "key": "t5", "pictures": [theirs["ticket"]]}),
        ("turn", {**ask, "key": "t6", "pictures": [theirs["sha256"]]}),
    ]


def test_two_who_signed_in_cannot_get_at_each_others_things(page: ServedPage) -> None:
    people = dict(zip(PEOPLE, (a_conversation(page, name) for name in PEOPLE), strict=True))
    for name, other in (("ann", "bob"), ("bob", "ann")):
        intruder, theirs = people[name][0], people[other][1]
        before = page.store.load(f"user:{other}", theirs["conversation"])
        for event, data in attempts(theirs):
            told = str(intruder.event(event, data | {"owner": f"user:{other}", "username": other}))
            assert theirs["text"] not in told and theirs["sha256"] not in told, (event, data)
        assert page.store.load(f"user:{other}", theirs["conversation"]) == before
        for address in (f"/pictures/{theirs['sha256']}", f"/pictures/{theirs['sha256']}/thumb"):
            assert intruder.http.get(address).status_code == 404
            assert people[other][0].http.get(address).status_code == 200


def test_the_refusals_mean_something_since_the_owner_may_do_all_that(page: ServedPage) -> None:
    person, mine = a_conversation(page, "bob")
    done = []
    for event, data in attempts(mine):
        if event not in ("stop", "delete", "restart"):
            told = person.event(event, data)
            done.append("notice" not in told or "thread" in told)
    assert sum(done) >= 8


def test_without_a_login_every_event_and_every_upload_is_refused(page: ServedPage) -> None:
    with httpx.Client(base_url=page.url) as stranger:
        stranger.get("/")
        for path in ("/gradio_api/queue/join", "/gradio_api/run/predict"):
            for index in range(12):
                body = {"data": [], "fn_index": index, "session_hash": "s", "event_data": {}}
                assert stranger.post(path, json=body).status_code == 401
        assert stranger.get("/gradio_api/queue/data?session_hash=s").status_code == 401
        assert stranger.get("/config").status_code == 401
        assert stranger.post("/pictures", content=png("red")).status_code == 401
        assert stranger.get("/examples/scene-1.png").status_code == 404


@pytest.mark.parametrize("signed_in", [True, False])
def test_every_answer_carries_the_policy(page: ServedPage, signed_in: bool) -> None:
    client = Person(page.url, ("ann", "one")).http if signed_in else httpx.Client(base_url=page.url)
    told = {}
    if signed_in:
        sent = client.post("/pictures", content=png("green")).json()
        page.store.add_question("user:ann", page.store.create("user:ann").id, "?", [_ref(sent)])
        told["picture"] = client.get(f"/pictures/{sent['sha256']}")
        told["thumbnail"] = client.get(f"/pictures/{sent['sha256']}/thumb")
        assert {each.status_code for each in told.values()} == {200}
    told |= {
        path: client.get(path) for path in ("/", "/config", "/nothing", "/gradio_api/info", "/theme.css")
    }
    told["foreign"] = client.get("/", headers={"origin": "https://evil.example"})
    told["wrong login"] = client.post("/login", data={"username": f"nobody-{signed_in}", "password": "x"})
    told["login without a form"] = client.post("/login")
    told["no picture"] = client.post("/pictures", content=b"x")
    told["another's picture"] = client.get(f"/pictures/{'0' * 64}")
    told["logout"] = client.get("/logout")
    statuses = {name: answer.status_code for name, answer in told.items()}
    assert (statuses["foreign"], statuses["wrong login"], statuses["/nothing"]) == (403, 400, 404)
    assert statuses["another's picture"] == 404
    for name, answer in told.items():
        policy = answer.headers.get("content-security-policy", "")
        assert "default-src 'self'" in policy and "img-src 'self' data: blob:" in policy, name
        assert answer.headers["x-content-type-options"] == "nosniff", name


def _ref(sent: dict[str, Any]) -> Any:
    from conversations.messages import ImageRef

    return ImageRef(sent["sha256"], sent["width"], sent["height"])


def test_who_guesses_waits_with_a_sentence_and_others_come_in(page: ServedPage) -> None:
    with httpx.Client(base_url=page.url) as client:
        for name in ("root", "nobody-of-that-name"):  # one exists, one does not: they look the same
            told = [client.post("/login", data={"username": name, "password": "guess"}) for _ in range(6)]
            assert [each.status_code for each in told] == [400] * 5 + [429]
            assert "10 seconds" in told[-1].json()["detail"] and told[-1].headers["retry-after"] == "10"
        right = client.post("/login", data={"username": "root", "password": "three"})
        assert right.status_code == 429
        assert client.post("/login", data={"username": "ann", "password": "one"}).status_code == 200


def test_the_first_page_of_who_did_not_sign_in_is_our_own_form(page: ServedPage) -> None:
    with httpx.Client(base_url=page.url) as client:
        form = client.get("/?c=abc")
        assert "Sign in" in form.text and 'action="login"' in form.text and "gradio" not in form.text.lower().replace(
            "gradio-", "").replace(".gradio", "")  # fmt: skip
        assert form.headers["cache-control"] == "no-store"
        client.post("/login", data={"username": "ann", "password": "one"})
        assert "gradio_config" in client.get("/").text
        client.get("/logout")
        assert 'action="login"' in client.get("/").text
