"""How fast does an answer stream into the page, with and without pictures in view? python -m scripts.bench_page

Nothing is capped: a worker that answers at once, no pause between updates. Each update is counted where it is shown, in
Chromium. The rate with ten pictures must be at least half of the rate without any; the exit status says whether it is.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import socket
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from app.chat_events import ChatEvents
from app.main import launch
from app.picture_routes import Tickets
from app.settings import Settings
from app.turns import Turns
from app.visitors import COOKIE, owner_of
from app.worker_client import ChatRequest, Finished, Piece, WorkerEvent, WorkerHealth
from app.worker_status import WorkerStatus
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome, AnswerSettings

LEAST_SHARE = 0.5
NUM_PIECES = 400
VISITOR = "b" * 43
STATUS = WorkerStatus("Ready", True, False, 1.0, WorkerHealth("ready", model="bench"), ("bench",))

_RATE = """
() => new Promise((done) => {
  const began = loop.updates || 0;
  let first = 0;
  const check = setInterval(() => {
    if (!first && (loop.updates || 0) > began) first = performance.now();
    const all = document.querySelectorAll("#thread .reply");
    if (first && all[all.length - 1].dataset.state !== "running") {
      clearInterval(check);
      done((loop.updates - began) / ((performance.now() - first) / 1000));
    }
  }, 2);
})
"""


class InstantWorker:
    """Answers as fast as it is read."""

    def stream(self, request: ChatRequest) -> Iterator[WorkerEvent]:
        for number in range(NUM_PIECES):
            yield Piece(f"word{number} ")
        yield Finished("stop", 10, NUM_PIECES)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind (default: 3)")
    rounds = parser.parse_args(argv).rounds
    with tempfile.TemporaryDirectory() as folder:
        store = ConversationStore.open(f"sqlite:///{folder}/chats.db", Path(folder) / "pictures")
        turns = Turns(store, InstantWorker(), lambda: STATUS, seconds_between_updates=0.0)
        tickets = Tickets()
        settings = Settings(port=_free_port(), database_url=f"sqlite:///{folder}/chats.db")
        page = launch(settings, store, tickets, ChatEvents(store, turns, tickets, lambda: STATUS))
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                rates = {
                    number: [_rate(browser, settings.port, store, 0)] for number in (0, 10)
                }  # the first warms up
                for _ in range(rounds):
                    for number in rates:
                        rates[number].append(_rate(browser, settings.port, store, number))
                browser.close()
        finally:
            page.close()
            store.close()
    none, ten = (statistics.median(rates[number][1:]) for number in (0, 10))
    print(f"updates a second: {none:.0f} with no picture in view, {ten:.0f} with ten; share {ten / none:.2f}")
    return 0 if ten >= LEAST_SHARE * none else 1


def _rate(browser: Browser, port: int, store: ConversationStore, num_pictures: int) -> float:
    """Updates a second of one answer in a conversation with so many large pictures before it."""
    owner = str(owner_of(None, {COOKIE: VISITOR}))
    conversation = _conversation(store, owner, num_pictures)
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    url = f"http://127.0.0.1:{port}/"
    context.add_cookies([{"name": COOKIE, "value": VISITOR, "url": url}])
    tab = context.new_page()
    tab.goto(f"{url}?c={conversation}")
    tab.wait_for_selector("#thread .reply")
    tab.fill("#draft", "Go")
    tab.press("#draft", "Enter")
    rate = float(tab.evaluate(_RATE))
    context.close()
    return rate


def _conversation(store: ConversationStore, owner: str, num_pictures: int) -> str:
    """Ten turns, some of them with a photo-sized picture that no compression makes small."""
    conversation = store.create(owner).id
    settings = AnswerSettings("bench", "llava_v0", "", 0.2, 0.7, 512)
    parent = None
    for number in range(10):
        images = [store.images.add(_noise(number))] if number < num_pictures else []
        question = store.add_question(owner, conversation, "What is it?", images, parent_id=parent)
        answer = store.start_answer(owner, question.id, settings)
        store.finish_answer(answer.id, AnswerOutcome("A picture of noise.", "stop"))
        parent = answer.id
    return conversation


def _noise(seed: int) -> bytes:
    """About 4 MB of PNG."""
    image = Image.frombytes("RGB", (1200, 1100), random.Random(seed).randbytes(1200 * 1100 * 3))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    raise SystemExit(main())
