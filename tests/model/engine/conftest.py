"""An engine that is slow, for tests in which an answer must not end meanwhile."""

from __future__ import annotations

import time

import pytest

from model.engine.step import Stepper


@pytest.fixture
def slow_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long answer then goes on for at least 45 seconds, however fast the machine."""
    whole = Stepper.run

    def run(self: Stepper, answering, chunks):  # type: ignore[no-untyped-def]
        time.sleep(0.03)
        return whole(self, answering, chunks)

    monkeypatch.setattr(Stepper, "run", run)
