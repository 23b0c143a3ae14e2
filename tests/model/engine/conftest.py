"""The tiny model and its engine; and one that is slow, for tests in which an answer must not end meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from model import checkpoint
from model.checkpoint import LoadedModel
from model.engine.slot_engine import SlotEngine
from model.engine.step import Stepper
from tests.model.tiny import write_tiny_checkpoint


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return checkpoint.load(write_tiny_checkpoint(tmp_path_factory.mktemp("tiny")), device="cpu")


@pytest.fixture
def engine(loaded: LoadedModel) -> Iterator[SlotEngine]:
    made = SlotEngine(loaded)
    yield made
    asyncio.run(made.close())


@pytest.fixture
def slow_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long answer then goes on for at least 45 seconds, however fast the machine."""
    whole = Stepper.run

    def run(self: Stepper, answering, chunks):  # type: ignore[no-untyped-def]
        time.sleep(0.03)
        return whole(self, answering, chunks)

    monkeypatch.setattr(Stepper, "run", run)
