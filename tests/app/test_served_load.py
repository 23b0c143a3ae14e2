"""Many at once at the real page: it answers while answers are slow, and nobody takes all of its places."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx

from app.chat_events import ANSWERS_OF_OWNER
from app.worker_client import ChatRequest, Finished, Piece, WorkerEvent
from tests.app.served_page import Person, served

PATIENCE = 180.0


class SlowWorker:
    """Begins an answer and then says nothing until it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.begun = threading.Semaphore(0)

    def stream(self, request: ChatRequest) -> Iterator[WorkerEvent]:
        yield Piece("Begun")
        self.begun.release()
        self.let.wait()
        yield Finished("stop", 1, 1)

    def close(self) -> None:
        self.let.set()


def asking(number: int) -> dict[str, object]:
    return {"kind": "ask", "key": f"key-{number}", "text": f"Question {number}", "pictures": []}


def test_the_page_answers_while_slow_answers_are_in_the_making_and_one_visitor_holds_four_at_most(
    tmp_path: Path,
) -> None:
    worker = SlowWorker()
    with (
        served(tmp_path, worker=worker) as page,
        ThreadPoolExecutor(ANSWERS_OF_OWNER) as threads,
        closing(worker),  # first of all, or the others would wait for its answers
    ):
        first = Person(page.url)
        tabs = [first]
        for _ in range(ANSWERS_OF_OWNER):  # more tabs of the same visitor
            tab = Person(page.url)
            tab.http.cookies = first.http.cookies
            tabs.append(tab)
        waiting = [
            threads.submit(tab.turn, asking(number)) for number, tab in enumerate(tabs[:ANSWERS_OF_OWNER])
        ]
        assert all(worker.begun.acquire(timeout=PATIENCE) for _ in waiting)
        assert httpx.get(f"{page.url}config", timeout=PATIENCE).status_code == 200
        refused = tabs[-1].turn(asking(9))[0]
        assert "At most 4 answers" in refused["notice"]["words"] and refused["notice"]["key"] == "key-9"
        still_running = [each.done() for each in waiting]
        stranger = Person(page.url)
        worker.close()
        assert stranger.turn(asking(10))  # another visitor has places of their own
        assert all(each.result(PATIENCE) for each in waiting)
        assert "notice" not in tabs[-1].turn(asking(11))[0]  # and a place that is free again is given
    assert still_running == [False] * ANSWERS_OF_OWNER
