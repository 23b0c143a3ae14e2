"""What the tests of the jobs share: a page's jobs with a small process in place of the trainer, and waiting for them.

As a program, `python -m tests.app.job_page FOLDER [ORDERS]`, it is a page's process that orders a job and looks after
it until its input ends.
"""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from app.jobs import Job, Jobs
from conversations.database import Database
from conversations.store import ConversationStore
from model.training.config import DataSource, TrainingConfig

PROGRAM = Path(__file__).with_name("small_job.py")
WAIT_SECONDS = 180.0


def command(folder: Path) -> list[str]:
    return [sys.executable, str(PROGRAM), str(folder)]


def config(**changes: Any) -> TrainingConfig:
    values = {"recipe": "lora", "model": "model/demo", "data": (DataSource("train.json"),), "device": "cpu"}
    return TrainingConfig(**values | changes)


def open_store(folder: Path) -> ConversationStore:
    """A database that is there is taken as it is; a new one is copied, since making the tables takes a while."""
    if not (folder / "chats.db").exists():
        shutil.copyfile(_empty_database(), folder / "chats.db")
    return ConversationStore.open(f"sqlite:///{folder / 'chats.db'}", folder / "pictures")


@cache
def _empty_database() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="jobs"))
    atexit.register(shutil.rmtree, folder)
    Database(f"sqlite:///{folder / 'chats.db'}").close()
    return folder / "chats.db"


@contextmanager
def page(folder: Path, orders: str = "run", **more: Any) -> Iterator[Jobs]:
    """A page's jobs in this folder, as they would be in a process of its own. `orders`: what its processes do."""
    runs = folder / "runs"
    runs.mkdir(exist_ok=True)
    (runs / "orders").write_text(orders)
    store = open_store(folder)
    jobs = Jobs(store.jobs, runs, **{"command": command, "seconds_between": 0.05} | more)
    jobs.start()
    try:
        yield jobs
    finally:
        jobs.close()
        store.close()


def wait_for(look: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """What it gives as soon as that is true."""
    ends = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.02)
    return found


def wait_until(jobs: Jobs, job: Job, *phases: str) -> Job:
    wait_for(lambda: jobs.get(job.id).phase in phases)
    return jobs.get(job.id)


def wait_until_training(jobs: Jobs, job: Job) -> Job:
    """Its process has come as far as to write its status."""
    wait_for(lambda: (status := jobs.get(job.id).status) is not None and status.phase == "training")
    return jobs.get(job.id)


if __name__ == "__main__":
    with page(Path(sys.argv[1]), *sys.argv[2:]) as own_jobs:
        own_jobs.create("ann", "of a page", config())
        print("ready", flush=True)
        sys.stdin.read()
