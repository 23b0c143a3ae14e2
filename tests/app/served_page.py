"""The real page, served over HTTP with a real log and a worker that says what it is told; and a client of it that does
what a browser's scripts do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.chat_events import ChatEvents
from app.library_exports import LibraryExports
from app.main import launch
from app.picture_routes import Tickets
from app.settings import Settings
from app.turns import AsksWorker, Turns
from conversations.store import ConversationStore
from tests.app.scripted_worker import READY, ScriptedWorker


@dataclass
class ServedPage:
    """`app` is the framework's, `store` the log behind the page."""

    url: str
    app: Any
    store: ConversationStore


@contextmanager
def served(folder: Path, *, worker: AsksWorker | None = None, **settings: Any) -> Iterator[ServedPage]:
    database = f"sqlite:///{folder / 'chats.db'}"
    store = ConversationStore.open(database, folder / "pictures")
    tickets = Tickets()
    turns = Turns(store, worker or ScriptedWorker(), lambda: READY)
    events = ChatEvents(store, turns, tickets, lambda: READY)
    exports = LibraryExports(store, folder / "exports")
    page = launch(Settings(port=0, database_url=database, **settings), store, tickets, events, exports)
    try:
        yield ServedPage(page.local_url, page.app, store)
    finally:
        page.close(verbose=False)
        store.close()


class Person:
    """A client with cookies of its own. `login`: name and password."""

    def __init__(self, url: str, login: tuple[str, str] | None = None) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        self.http.get("/")
        if login is not None:
            answer = self.http.post("/login", data={"username": login[0], "password": login[1]})
            assert answer.status_code == 200, answer.text
        self._events = self.http.get("/config").json()["dependencies"]
        self._session = f"session-{id(self)}"

    def event(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """What comes back for an event, newest message of each feed."""
        if name == "turn":
            return self.turn(data)[-1]
        answer = self.http.post("/gradio_api/run/predict", json=self._body(name, data))
        assert answer.status_code == 200, answer.text
        return _feeds(answer.json()["data"])

    def turn(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """A whole turn's messages; values that the framework sends as differences are left out."""
        answer = self.http.post("/gradio_api/queue/join", json=self._body("turn", data))
        assert answer.status_code == 200, answer.text
        told: list[dict[str, Any]] = []
        parameters = {"session_hash": self._session}
        with self.http.stream("GET", "/gradio_api/queue/data", params=parameters) as stream:
            for line in stream.iter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line.removeprefix("data:"))
                if message["msg"] in ("process_generating", "process_completed"):
                    told.append(_feeds(message["output"].get("data", [])))
                if message["msg"] in ("process_completed", "close_stream", "unexpected_error"):
                    break
        return [each for each in told if each]

    def send_picture(self, data: bytes) -> httpx.Response:
        return self.http.post("/pictures", content=data)

    def _body(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        index = next(
            each["id"] for each in self._events if any(target[1] == name for target in each["targets"])
        )
        return {
            "data": [], "event_data": data, "fn_index": index, "session_hash": self._session, "trigger_id": None,
        }  # fmt: skip


def _feeds(values: list[Any]) -> dict[str, Any]:
    names = ("thread", "live", "list", "notice", "status")
    whole = {name: value for name, value in zip(names, values, strict=False) if isinstance(value, dict)}
    return {name: value for name, value in whole.items() if "__type__" not in value}
