"""What the tests of the training view share: a log with corrected answers, and a whole page with jobs of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.chat_events import ChatEvents
from app.jobs import Jobs
from app.library_exports import LibraryExports
from app.main import launch
from app.picture_routes import Tickets
from app.settings import Settings
from app.training_parts import TrainingParts
from app.turns import Turns
from app.worker_child import WorkerOptions
from conversations.store import ConversationStore
from tests.app.library_log import ANN, answered
from tests.app.scripted_worker import READY, ScriptedWorker

COLOURS = ("red", "green", "blue", "yellow", "black", "orange", "white", "purple")


def corrected(store: ConversationStore, number: int) -> None:
    """So many answers about pictures, each corrected, and one without a picture that nobody corrected."""
    for place in range(number):
        colour = COLOURS[place % len(COLOURS)]
        turn = answered(store, ANN, f"What colour is picture {place}?", "I do not know.", colour)
        store.feedback.correct(ANN, turn.id, f"It is {colour}.")
    answered(store, ANN, "Who are you?", "A model.")


@dataclass
class TrainingPage:
    """`folder` holds the page's own data, and its runs in `runs`."""

    url: str
    folder: Path
    store: ConversationStore
    jobs: Jobs
    training: TrainingParts


@contextmanager
def serving(folder: Path, environment: dict[str, str], base: Path, **settings: Any) -> Iterator[TrainingPage]:
    """The page with a worker that says what it is told, and with real jobs; `base` is what the worker says it runs."""
    database = f"sqlite:///{folder / 'chats.db'}"
    store = ConversationStore.open(database, folder / "pictures")
    events = ChatEvents(store, Turns(store, ScriptedWorker(), lambda: READY), Tickets(), lambda: READY)
    exports = LibraryExports(store, folder / "exports")
    jobs = Jobs(store.jobs, folder / "runs", environment=environment)
    jobs.start()
    training = TrainingParts.of(
        jobs, store, exports, folder, database, environment, running=lambda: WorkerOptions(str(base))
    )
    page = launch(
        Settings(port=0, database_url=database, **settings), store, Tickets(), events, exports, training
    )
    try:
        yield TrainingPage(page.local_url, folder, store, jobs, training)
    finally:
        page.close(verbose=False)
        training.stop()
        jobs.close()
        store.close()
