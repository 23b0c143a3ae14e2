"""A whole worker whose steps take an hour once an answer has begun, for tests of its end:
`python -m tests.model.slow_worker FOLDER PORT`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import model.worker
from model.engine import engine_thread
from model.engine.scheduler import Chunk
from model.engine.step import Drawn, Stepper
from model.engine.task import Task
from tests.model.asking_worker import SLOW


def main(folder: str, port: str) -> None:
    whole = Stepper.run

    def run(self: Stepper, answering: Sequence[Task], chunks: Sequence[Chunk]) -> list[Drawn]:
        if any(task.max_tokens == SLOW and task.answer.num_tokens > 20 for task in answering):
            time.sleep(3600)
        return whole(self, answering, chunks)

    Stepper.run = run  # type: ignore[method-assign]
    model.worker.FINISH_SECONDS, engine_thread.CLOSE_SECONDS = 0.3, 0.3
    model.worker.main(["--model", folder, "--port", port, "--device", "cpu", "--reserved-port"])


if __name__ == "__main__":
    main(*sys.argv[1:])
