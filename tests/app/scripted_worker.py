"""A worker for tests that says what it is told to say, and writes down what it was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.worker_client import ChatRequest, Finished, Heartbeat, Phase, Piece, WorkerEvent, WorkerHealth
from app.worker_status import WorkerStatus

HEALTH = WorkerHealth(
    "ready",
    model="scripted",
    template="llava_v0",
    system="Be polite.",
    context_tokens=100,
    about="It knows its lines.",
)
READY = WorkerStatus("Ready", True, False, 1.0, HEALTH, ("scripted",))
A_WHOLE_ANSWER = (
    Phase("reading"),
    Phase("answering"),
    Piece("A red"),
    Heartbeat(),
    Piece(" circle."),
    Finished("stop", 40, 5),
)


@dataclass
class ScriptedWorker:
    """`lines`: what each call in turn yields; an exception among them is raised. The last goes on for ever."""

    lines: list[Sequence[WorkerEvent | Exception]] = field(default_factory=lambda: [A_WHOLE_ANSWER])
    asked: list[ChatRequest] = field(default_factory=list)
    num_closed: int = 0

    def stream(self, request: ChatRequest) -> Iterator[WorkerEvent]:
        self.asked.append(request)
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        try:
            for event in line:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self.num_closed += 1

    def health(self) -> WorkerHealth:
        return HEALTH

    def models(self) -> tuple[str, ...]:
        return ("scripted",)
