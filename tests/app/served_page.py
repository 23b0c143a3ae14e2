"""The real page, served over HTTP with a real log and a worker that says what it is told; and a client of it that does
what a browser's scripts do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from app.chat_events import ChatEvents
from app.job_watch import HOST
from app.jobs import Jobs
from app.library_exports import LibraryExports
from app.main import launch
from app.picture_routes import Tickets
from app.prompt_view import PromptView
from app.result_parts import ResultParts
from app.settings import Settings
from app.training_parts import TrainingParts
from app.turns import AsksWorker, Turns
from app.worker_client import WorkerClient
from conversations.store import ConversationStore
from tests.app.finished_run import JOB, FinishedJob, finish
from tests.app.scripted_worker import READY, ScriptedWorker


@dataclass
class ServedPage:
    """`app` is the framework's, `store` the log behind the page; `result` is a run that is done."""

    url: str
    app: Any
    store: ConversationStore
    result: FinishedJob


@contextmanager
def served(folder: Path, *, worker: AsksWorker | None = None, **settings: Any) -> Iterator[ServedPage]:
    """The page with all its parts; its jobs are never started, and no worker of adapters is there."""
    database, runs = f"sqlite:///{folder / 'chats.db'}", folder / "runs"
    told = Settings(port=0, database_url=database, **settings)
    with ExitStack() as ends:
        store = ConversationStore.open(database, folder / "pictures")
        ends.callback(store.close)
        nowhere = WorkerClient("http://127.0.0.1:1", None, data_url=store.images.data_url)
        tickets, turns = Tickets(), Turns(store, worker or ScriptedWorker(), lambda: READY)
        events = ChatEvents(store, turns, tickets, lambda: READY, prompts=PromptView(store, nowhere))
        exports = LibraryExports(store, folder / "exports")
        jobs, result = Jobs(store.jobs, runs, environment={}), _finished(store, runs)
        ends.callback(jobs.close)
        training = TrainingParts.of(jobs, store, exports, folder, database, {})
        ends.callback(training.stop)
        results = ResultParts.of(jobs, runs, nowhere, lambda urls: nowhere, lambda: READY, None, {})
        ends.callback(results.stop)
        page = launch(told, store, tickets, events, exports, training, results)
        ends.callback(page.close, verbose=False)
        yield ServedPage(page.local_url, page.app, store, result)


def _finished(store: ConversationStore, runs: Path) -> FinishedJob:
    """A run with the files that its doors open, on the list of jobs."""
    job = finish(runs, JOB, "Corrected colours", runs / "base")
    store.jobs.create(JOB, actor="user:root", name=job.name, config=job.config.to_json(), host=HOST)
    assert store.jobs.end_queued(JOB, "done", "Done.")
    job.folder.result.mkdir()
    (job.folder.result / "adapter_config.json").write_text("{}")
    return job


class Person:
    """A client with cookies of its own. `login`: name and password."""

    def __init__(self, url: str, login: tuple[str, str] | None = None) -> None:
        self.http = httpx.Client(base_url=url, timeout=180)
        self.http.get("/")
        if login is not None:
            answer = self.http.post("/login", data={"username": login[0], "password": login[1]})
            assert answer.status_code == 200, answer.text
        self._events = self.http.get("/config").json()["dependencies"]
        self._session = f"session-{uuid4().hex}"  # an id() is given out again

    def event(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """What comes back for an event, newest message of each feed."""
        if name == "turn":
            return self.turn(data)[-1]
        answer = self.http.post("/gradio_api/run/predict", json=self._body(name, data))
        assert answer.status_code == 200, answer.text
        return _feeds(answer.json()["data"])

    def told(self, name: str, data: dict[str, Any]) -> list[dict[str, Any]]:
        """The messages that come back for an event of any part of the page."""
        answer = self.http.post("/gradio_api/run/predict", json=self._body(name, data))
        assert answer.status_code == 200, answer.text
        return [each for each in answer.json()["data"] if isinstance(each, dict) and "__type__" not in each]

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
