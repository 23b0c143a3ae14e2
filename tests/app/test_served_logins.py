"""People who sign in at the real page: nobody gets at another's things, whatever ids they send."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from app import attempts as attempts_module
from app import chat_tab, library_tab, own_events, result_tab, training_tab
from app.attempts import FREE_BY_NETWORK
from tests.app.served_page import Person, ServedPage, served

PEOPLE = {"ann": "one", "bob": "two"}
THEIRS = ("conversation", "question", "answer", "ticket", "sha256")
FOR_ADMINS = ("restart", "switch")
PARTS = {"library": library_tab.EVENTS, "training": training_tab.EVENTS, "results": result_tab.EVENTS}
UNDOABLE = (
    "load",
    "unload",
    "drop",
    "switch",
    "merge",
    "push",
    "delete",
    "start",
    "resume",
    "check",
    "export",
)
"""Not asked of an admin: work that goes on, or a worker of adapters that is not there."""


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
    told = person.turn({"kind": "ask", "key": uuid4().hex, "text": text, "pictures": [sent["ticket"]]})
    conversation = told[0]["thread"]["conversation"]
    question, answer = page.store.load(f"user:{name}", conversation).shown
    return person, {
        "conversation": conversation,
        "question": question.id,
        "answer": answer.id,
        **sent,
        "text": text,
    }


def attempts(theirs: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Every event that the chat knows, with somebody else's ids."""
    conversation, question, answer = theirs["conversation"], theirs["question"], theirs["answer"]
    ask = {"kind": "ask", "text": "x"}
    return {
        "turn": [
            {**ask, "key": "t1", "conversation": conversation},
            {"kind": "retry", "key": "t2", "turn": question},
            {"kind": "edit", "key": "t3", "turn": question, "text": "changed"},
            {"kind": "edit", "key": "t4", "turn": answer, "text": "changed"},
            {**ask, "key": "t5", "pictures": [theirs["ticket"]]},
            {**ask, "key": "t6", "pictures": [theirs["sha256"]]},
        ],
        "open": [
            {"conversation": conversation},
            {"conversation": conversation, "turn": answer},
            {"turn": answer},
        ],
        "list": [{"search": "secret", "shown": 10_000}, {"archived": True}, {"tag": "stolen"}, {}],
        "stop": [{"conversation": conversation}],
        "version": [{"turn": answer, "step": -1}, {"turn": question, "step": 1}],
        "prompt": [{"turn": answer}],
        "switch": [{"model": "/tmp/other"}],
        "restart": [{}],
        "rate": [{"turn": answer, "rating": "down", "reasons": ["wrong"], "note": "stolen"}],
        "correct": [{"turn": answer, "text": "stolen"}, {"turn": answer, "remove": True}],
        "rename": [{"conversation": conversation, "title": "stolen", "open": conversation}],
        "pin": [{"conversation": conversation, "on": True}],
        "archive": [{"conversation": conversation, "on": True}],
        "tag": [{"conversation": conversation, "tags": ["stolen"]}],
        "private": [{"conversation": conversation, "on": True}],
        "delete": [{"conversation": conversation}],
    }


def test_every_event_of_the_chat_is_tried() -> None:
    assert set(attempts(dict.fromkeys(THEIRS, ""))) == {*chat_tab.EVENTS, *own_events.EVENTS}


def test_two_who_signed_in_cannot_get_at_each_others_things(page: ServedPage) -> None:
    people = dict(zip(PEOPLE, (a_conversation(page, name) for name in PEOPLE), strict=True))
    for name, other in (("ann", "bob"), ("bob", "ann")):
        intruder, theirs = people[name][0], people[other][1]
        conversation, owner = theirs["conversation"], f"user:{other}"

        def now(owner: str = owner, conversation: str = conversation) -> object:
            listed = page.store.history.recent(owner, archived=None)
            return page.store.load(owner, conversation), [each for each in listed if each.id == conversation]

        before = now()
        for event, tries in attempts(theirs).items():
            for data in tries:
                told = str(intruder.event(event, data | {"owner": owner, "username": other}))
                assert theirs["text"] not in told and theirs["sha256"] not in told, (event, data)
                assert now() == before, (event, data)
        for address in (
            f"/pictures/{theirs['sha256']}",
            f"/pictures/{theirs['sha256']}/thumb",
            f"/conversations/{conversation}.json",
            f"/conversations/{conversation}.zip",
        ):
            assert intruder.http.get(address).status_code == 404, address
            assert people[other][0].http.get(address).status_code == 200, address


def test_the_refusals_mean_something_since_the_owner_may_do_all_that(page: ServedPage) -> None:
    person, mine = a_conversation(page, "bob")
    done = {
        event: ["notice" not in (told := person.event(event, data)) or "thread" in told for data in tries]
        for event, tries in attempts(mine).items()
        if event not in ("stop", "delete", *FOR_ADMINS)
    }
    assert [event for event, tried in done.items() if not any(tried)] == []


def test_who_is_no_admin_gets_nothing_from_the_events_that_only_admins_have(page: ServedPage) -> None:
    """Each with what would be enough for an admin to be told something."""
    root, ann = Person(page.url, ("root", "three")), Person(page.url, ("ann", "one"))
    for part, names in PARTS.items():
        told = []
        for name in names:
            event, data = f"{part}_{name}", {"job": page.result.id}
            assert ann.told(event, data) == [], event
            if name not in UNDOABLE:
                told += root.told(event, data)
        assert told, part


def test_without_a_login_every_event_and_every_upload_is_refused(page: ServedPage) -> None:
    with httpx.Client(base_url=page.url, timeout=180) as stranger:
        stranger.get("/")
        for path in ("/gradio_api/queue/join", "/gradio_api/run/predict"):
            for index in range(12):
                body = {"data": [], "fn_index": index, "session_hash": "s", "event_data": {}}
                assert stranger.post(path, json=body).status_code == 401
        assert stranger.get("/gradio_api/queue/data?session_hash=s").status_code == 401
        assert stranger.get("/config").status_code == 401
        assert stranger.post("/pictures", content=png("red")).status_code == 401
        assert stranger.get("/examples/scene-1.png").status_code == 404


@pytest.fixture
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """In which no machine is too slow for the next try. The real ones: tests/app/test_logins.py."""
    for name in ("FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(attempts_module, name, 8000.0)


def is_put_off(told: httpx.Response) -> bool:
    """By a pause that has just begun, in the words and in the header."""
    seconds = int(told.headers.get("retry-after", 0))
    return (
        told.status_code == 429 and 7000 < seconds <= 8000 and f"{seconds} seconds" in told.json()["detail"]
    )


@pytest.mark.usefixtures("long_pauses")
def test_who_guesses_waits_with_a_sentence_and_others_come_in(page: ServedPage) -> None:
    with httpx.Client(base_url=page.url, timeout=180) as client:
        for name in ("root", "nobody-of-that-name"):  # one exists, one does not: they look the same
            told = [client.post("/login", data={"username": name, "password": "guess"}) for _ in range(6)]
            assert [each.status_code for each in told] == [400] * 5 + [429]
            assert is_put_off(told[-1])
        right = client.post("/login", data={"username": "root", "password": "three"})
        assert right.status_code == 429
        assert client.post("/login", data={"username": "ann", "password": "one"}).status_code == 200


def test_the_first_page_of_who_did_not_sign_in_is_our_own_form(page: ServedPage) -> None:
    with httpx.Client(base_url=page.url, timeout=180) as client:
        form = client.get("/?c=abc")
        assert "Sign in" in form.text and 'action="login"' in form.text and "gradio" not in form.text.lower().replace(
            "gradio-", "").replace(".gradio", "")  # fmt: skip
        assert form.headers["cache-control"] == "no-store"
        client.post("/login", data={"username": "ann", "password": "one"})
        assert "gradio_config" in client.get("/").text
        client.get("/logout")
        assert 'action="login"' in client.get("/").text


@pytest.mark.usefixtures("long_pauses")
def test_who_guesses_at_many_names_waits_with_all_of_them_and_another_address_comes_in(
    page: ServedPage,
) -> None:
    def client(address: str) -> httpx.Client:
        return httpx.Client(
            base_url=page.url, transport=httpx.HTTPTransport(local_address=address), timeout=180
        )

    with client("127.0.0.7") as guessing, client("127.0.0.8") as other:
        for number in range(FREE_BY_NETWORK):
            told = guessing.post("/login", data={"username": f"guess-{number}", "password": "x"})
            assert told.status_code == 400, number
        for login in (("guess-new", "x"), ("bob", "two")):
            told = guessing.post("/login", data=dict(zip(("username", "password"), login, strict=True)))
            assert is_put_off(told)
        assert other.post("/login", data={"username": "bob", "password": "two"}).status_code == 200
