"""The clock: when the pieces of an answer came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from model.engine.request import Engine, Finished, GenerationRequest, Piece

_clocks = [time.monotonic]


def now() -> float:
    """Seconds of the clock in use: the wall's, or what this process has computed."""
    return _clocks[-1]()


def counts_processor_time() -> bool:
    """Whether `now` is the processor's time."""
    return _clocks[-1] is time.process_time


def count_processor_time() -> None:
    """From now on the processor's time of this process, all threads together, is counted.

    On a machine with other work it says what each side has to compute, where the wall's time says who had to wait. With
    more than one thread it also counts waiting for one another, so it is meant for OMP_NUM_THREADS=1.
    """
    _clocks.append(time.process_time)


@dataclass(frozen=True, slots=True)
class Timed:
    """One answer with its times, in seconds of now()."""

    started: float
    times: tuple[float, ...]  # when each piece came
    ended: float
    text: str
    num_tokens: int

    @property
    def first(self) -> float:
        """Seconds to the first piece; to the end where no text came."""
        return (self.times[0] if self.times else self.ended) - self.started

    @property
    def tokens_per_second(self) -> float:
        """From the first piece on, the prompt's reading left out."""
        return (self.num_tokens - 1) / (self.ended - self.times[0])

    @property
    def gaps(self) -> tuple[float, ...]:
        """Seconds between one piece and the next."""
        return tuple(late - early for early, late in zip(self.times, self.times[1:], strict=False))


async def read(engine: Engine, request: GenerationRequest) -> Timed:
    """One answer of an engine, timed where its events are read."""
    started = now()
    times: list[float] = []
    pieces: list[str] = []
    num_tokens = 0
    async for event in engine.stream(request):
        if isinstance(event, Piece):
            times.append(now())
            pieces.append(event.text)
        elif isinstance(event, Finished):
            num_tokens = event.num_completion_tokens
    return Timed(started, tuple(times), now(), "".join(pieces), num_tokens)


def read_one(engine: Engine, request: GenerationRequest) -> Timed:
    """`read`, for callers without a loop."""
    return asyncio.run(read(engine, request))


def read_together(engine: Engine, requests: Sequence[GenerationRequest]) -> list[Timed]:
    """All at once; the answers in the order of the requests."""

    async def together() -> list[Timed]:
        return await asyncio.gather(*(read(engine, request) for request in requests))

    return asyncio.run(together())


def seconds(answers: Sequence[Timed]) -> float:
    """From the first start to the last end."""
    return max(answer.ended for answer in answers) - min(answer.started for answer in answers)


def steady_rate(answers: Sequence[Timed]) -> float:
    """Tokens a second of all streams together, from the moment when the last began until the first ended.

    0 where they never ran all at once: one had ended, or brought no text, before the last began.
    """
    begin = max(min(answer.times, default=answer.ended) for answer in answers)
    end = min(max(answer.times, default=answer.started) for answer in answers)
    if end <= begin:
        return 0.0
    num_pieces = sum(begin < moment <= end for answer in answers for moment in answer.times)
    # A piece may be of several tokens (a character of several bytes): each answer's own tokens a piece.
    num_tokens = sum(answer.num_tokens for answer in answers) / sum(len(answer.times) for answer in answers)
    return num_pieces * num_tokens / (end - begin)
