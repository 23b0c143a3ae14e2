"""The log is kept tidy while the page runs."""

from __future__ import annotations

import threading

from app.upkeep import Upkeep


def test_the_log_is_tidied_again_and_again_also_after_a_fault() -> None:
    calls, enough = [], threading.Event()

    class Store:
        def recover(self) -> int:
            calls.append(1)
            if len(calls) == 1:
                raise OSError("the disk is away")
            enough.set()
            return 0

    upkeep = Upkeep(Store(), seconds_between=0.01)
    upkeep.start()
    assert enough.wait(180)
    upkeep.stop()
    count = len(calls)
    assert not threading.Event().wait(0.05) and len(calls) == count
