"""Work in a thread of its own that ends with it.

PyTorch's helper threads (libgomp's) belong to the thread that computes and live as long as it does. With more of
them in a process than cores they sleep between two products instead of waiting awake, and each product pays for waking
them: the same step of the engine took 1.4 times as long in a process whose main thread had computed before
(docs/decisions/0008). So no thread that stays computes but the engine's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def apart(work: Callable[[], Result]) -> Result:
    """What `work` returns; what it raises is raised here."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=run, name="apart")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
