"""What every row is given: the folder, the engine, the peer, the talks and how often to measure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from model import checkpoint
from model.checkpoint import LoadedModel
from model.engine.apart import apart
from model.engine.request import Engine
from scripts.engine_bench.engine import new_engine
from scripts.engine_bench.plan import Plan
from scripts.engine_bench.reference import Reference
from scripts.engine_bench.talk import Talks
from scripts.engine_bench.timed import read_one


@dataclass(frozen=True, slots=True)
class Bench:
    """One model on one device, with our engine and `generate` ready and warm."""

    folder: Path
    loaded: LoadedModel
    engine: Engine
    reference: Reference
    talks: Talks
    plan: Plan
    rounds: int

    @classmethod
    def open(cls, folder: Path, plan: Plan, rounds: int) -> Bench:
        """Loads the checkpoint twice (each side has weights of its own) and answers once on each side."""

        def load() -> tuple[LoadedModel, Engine]:
            loaded = checkpoint.load(folder)
            return loaded, new_engine(loaded)

        loaded, engine = apart(load)
        talks = Talks(loaded)
        reference = Reference(str(folder), str(loaded.model.device))
        bench = cls(folder, loaded, engine, reference, talks, plan, rounds)
        request = talks.request(talks.cold(), 2)
        bench.reference.read(request)
        read_one(bench.engine, request)
        return bench

    def close(self) -> None:
        """Ends the engine's thread and the peer's process."""
        asyncio.run(self.engine.close())
        self.reference.close()

    def by_turns(
        self, ours: Callable[[], float], theirs: Callable[[], float]
    ) -> tuple[list[float], list[float]]:
        """One number a round of each side; who begins changes, so that neither always runs on a warmer machine."""
        numbers: tuple[list[float], list[float]] = ([], [])
        for turn in self.each_round():
            for side in (0, 1) if turn % 2 == 0 else (1, 0):
                numbers[side].append((ours, theirs)[side]())
        return numbers

    def each_round(self) -> Iterator[int]:
        """0, 1, ... `rounds` - 1."""
        yield from range(self.rounds)
