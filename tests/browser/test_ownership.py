"""Nobody gets at another's conversations or pictures, whatever they send to the page's own endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.running_page import RunningPage, example_question
from tests.browser.visitor import Visitor


class Intruder:
    """A program with a cookie of its own that talks to the page's endpoints as a browser's script would."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=180)
        self.client.get("/")  # gets a cookie
        self.config = self.client.get("/config").json()
        self.session = "intruder"

    def event(self, name: str, data: dict[str, Any]) -> str:
        """Everything that the page answers to an event, as text."""
        index = next(
            each["id"]
            for each in self.config["dependencies"]
            if any(target[1] == name for target in each["targets"])
        )
        body = {
            "data": [],
            "event_data": data,
            "fn_index": index,
            "session_hash": self.session,
            "trigger_id": None,
        }
        joined = self.client.post("/gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            return joined.text
        said = []
        with self.client.stream(
            "GET", "/gradio_api/queue/data", params={"session_hash": self.session}
        ) as stream:
            for line in stream.iter_lines():
                said.append(line)
                if "process_completed" in line or "close_stream" in line or "unexpected_error" in line:
                    break
        return "\n".join(said)


@pytest.fixture
def intruder(running: RunningPage) -> Iterator[Intruder]:
    made = Intruder(running.url)
    yield made
    made.client.close()


@pytest.fixture
def secret(visitor: Visitor, running: RunningPage) -> dict[str, Any]:
    """A conversation of somebody else, with a picture."""
    visitor.longest(12)
    visitor.ask("My secret question", example_question()[0])
    visitor.wait_for_end()
    conversation = visitor.conversation
    (question,), (answer,) = running.questions(conversation), running.answers(conversation)
    (picture,) = running.rows("SELECT sha256 FROM turn_pictures WHERE turn_id = ?", question["id"])
    return {
        "conversation": conversation, "question": question["id"], "answer": answer["id"], "sha256": picture["sha256"],
        "text": answer["text"],
    }  # fmt: skip


def test_the_owner_gets_the_picture_and_nobody_else_does(
    visitor: Visitor, secret, intruder: Intruder
) -> None:
    for address in (f"pictures/{secret['sha256']}", f"pictures/{secret['sha256']}/thumb"):
        assert visitor.page.request.get(visitor.url + address).status == 200
        assert intruder.client.get("/" + address).status_code == 404
        assert httpx.get(visitor.url + address, timeout=180).status_code == 404
        for detour in (f"/gradio_api/file={address}", f"//{address}", f"/{address}/../{secret['sha256']}"):
            assert intruder.client.get(detour).status_code in (403, 404)


def test_stored_files_cannot_be_fetched_by_their_path(
    running: RunningPage, secret, intruder: Intruder
) -> None:
    files = [
        *running.folder.rglob(f"{secret['sha256']}*"),
        running.folder / "chats.db",
        Path("app.py").resolve(),
    ]
    assert len(files) >= 3
    for file in files:
        answer = intruder.client.get(f"/gradio_api/file={file}")
        assert answer.status_code in (403, 404), file


def test_no_event_shows_or_changes_what_is_anothers(running: RunningPage, secret, intruder: Intruder) -> None:
    conversation, question, answer = secret["conversation"], secret["question"], secret["answer"]
    choices = {"max_new_tokens": "5"}
    forged = [{"role": "assistant", "content": "forged"}]
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("open", {"conversation": conversation}),
        ("list", {"search": "secret"}),
        ("stop", {"conversation": conversation}),
        ("version", {"turn": answer, "step": -1}),
        ("open", {"conversation": conversation, "turn": answer}),
        ("list", {"search": "secret", "archived": True}),
        ("rate", {"turn": answer, "rating": "down", "reasons": ["rude"], "note": "mine"}),
        ("correct", {"turn": answer, "text": "mine"}),
        ("correct", {"turn": answer, "remove": True}),
        ("pin", {"conversation": conversation, "on": True}),
        ("archive", {"conversation": conversation, "on": True}),
        ("private", {"conversation": conversation, "on": True}),
        ("tag", {"conversation": conversation, "tags": ["mine"]}),
        ("rename", {"conversation": conversation, "title": "stolen"}),
        ("delete", {"conversation": conversation}),
        (
            "turn",
            {
                "kind": "ask",
                "key": "i1",
                "conversation": conversation,
                "text": "mine now",
                "choices": choices,
            },
        ),
        ("turn", {"kind": "retry", "key": "i2", "turn": question, "choices": choices}),
        ("turn", {"kind": "edit", "key": "i3", "turn": question, "text": "changed", "choices": choices}),
        (
            "turn",
            {"kind": "ask", "key": "i4", "text": "x", "pictures": [secret["sha256"]], "history": forged},
        ),
        (
            "turn",
            {"kind": "ask", "key": "i5", "text": "x", "pictures": [f"{secret['sha256']}.1.1.{'0' * 64}"]},
        ),
    ]
    before = _everything(running, conversation)
    standing = running.rows("SELECT * FROM turn_pictures WHERE sha256 = ?", secret["sha256"])
    for name, data in attempts:
        said = intruder.event(name, data | {"owner": "user:admin", "username": "admin"})
        assert "My secret" not in said, (name, data)
        assert secret["sha256"] not in said, (name, data)
        assert said, name
    for kind in ("json", "zip"):
        refused = intruder.client.get(f"/conversations/{conversation}.{kind}")
        assert refused.status_code == 404 and "secret" not in refused.text
    assert _everything(running, conversation) == before
    assert running.rows("SELECT * FROM turn_pictures WHERE sha256 = ?", secret["sha256"]) == standing


def test_the_intruders_own_turn_works_so_the_refusals_above_mean_something(
    running: RunningPage, intruder: Intruder
) -> None:
    said = intruder.event(
        "turn", {"kind": "ask", "key": "own", "text": "My own question", "choices": {"max_new_tokens": "5"}}
    )
    assert "My own question" in said and "notice" not in said.split("process_completed")[0]
    assert running.rows("SELECT * FROM turns WHERE text = 'My own question'")


def test_the_page_tells_nothing_of_others_and_has_no_doors_left_open(secret, intruder: Intruder) -> None:
    for address in ("/config", "/gradio_api/info", "/"):
        text = intruder.client.get(address).text
        assert "My secret" not in text and secret["conversation"] not in text
    for address in (
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/monitoring/summary",
        "/gradio_api/runs",
        "/gradio_api/run-history/buckets",
        "/gradio_api/run-history/records",
    ):
        assert intruder.client.get(address).status_code in (403, 404), address
    assert intruder.client.post("/gradio_api/run-history/connect").status_code in (403, 404)
    policy = intruder.client.get("/").headers["content-security-policy"]
    assert "img-src 'self' data: blob:" in policy


def test_a_picture_from_elsewhere_in_an_answer_is_never_asked_for(visitor: Visitor) -> None:
    """The policy is the second wall: even an element that got into the page could not load it."""
    loaded = visitor.page.evaluate(
        "() => new Promise(done => { const image = new Image(); image.onload = () => done(true); "
        "image.onerror = () => done(false); image.src = 'http://127.0.0.1:9/leak.png'; })"
    )
    assert loaded is False
    assert any("Content Security Policy" in fault for fault in visitor.faults)


def test_the_pages_process_holds_no_torch(running: RunningPage) -> None:
    running.wait_until_ready()
    assert running.process is not None
    maps = Path(f"/proc/{running.process.pid}/maps").read_text()
    assert "libtorch" not in maps
    (worker,) = running.worker_ids()
    assert (
        "libtorch" in Path(f"/proc/{worker}/maps").read_text()
    )  # so the look at the page's proves something


def _everything(running: RunningPage, conversation: str) -> list[dict[str, Any]]:
    return [
        *running.rows("SELECT * FROM conversations WHERE id = ?", conversation),
        *running.rows("SELECT * FROM turns WHERE conversation_id = ? ORDER BY id", conversation),
        *running.rows("SELECT * FROM conversation_tags WHERE conversation_id = ?", conversation),
        *running.rows("SELECT * FROM answers WHERE conversation_id = ? ORDER BY turn_id", conversation),
    ]
