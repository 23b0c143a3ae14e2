"""The worker, with long answers that take at least a minute on any machine: there is always time to stop them, to wait
behind them or to leave them. `python -m tests.model.unhurried_worker` with the worker's own flags."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import model.worker
from model.engine.scheduler import Chunk
from model.engine.step import Drawn, Stepper
from model.engine.task import Task
from tests.model.asking_worker import LONG


def main(flags: Sequence[str]) -> None:
    whole = Stepper.run

    def run(self: Stepper, answering: Sequence[Task], chunks: Sequence[Chunk]) -> list[Drawn]:
        if any(task.max_tokens == LONG for task in answering):
            time.sleep(0.04)
        return whole(self, answering, chunks)

    Stepper.run = run  # type: ignore[method-assign]
    model.worker.main(list(flags))


if __name__ == "__main__":
    main(sys.argv[1:])
