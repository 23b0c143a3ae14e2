"""An engine that plays a script, for tests of the door that need no network; and a worker around it, to be started by
`python -m tests.model.door.scripted_engine PORT [stuck|FILE]` for tests of its end, which loads while there is the
FILE."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conversations.messages import ImageRef, Message
from model.door.readiness import Readiness, Served
from model.engine.errors import AdapterError, EngineClosed, QueueFull, UnknownAdapter
from model.engine.numbers import EngineNumbers
from model.engine.request import Event, Finished, GenerationRequest, Piece, Reading

Script = Sequence[Event | Exception | float]
HELLO: Script = (Reading(), Piece("Hel"), Piece("lo"), Finished("stop", 7, 3))


@dataclass
class ScriptedEngine:
    """Plays events; a number is a pause in seconds, an exception is raised."""

    script: Script = HELLO
    asked: list[GenerationRequest] = field(default_factory=list)
    num_running: int = 0
    num_waiting: int = 0
    num_tokens_made: int = 0
    num_closed: int = 0
    close_reason: str | None = None
    loaded: dict[str, Path] = field(default_factory=dict)
    is_full: bool = False

    def check_room(self) -> None:
        if self.is_full:
            raise QueueFull(64)

    def numbers(self) -> EngineNumbers:
        return EngineNumbers(
            num_running=self.num_running, num_prompt_tokens=40, num_reused_tokens=10, num_steps=4, num_rows=10,
            cache_bytes=1_000, cache_budget_bytes=4_000,
        )  # fmt: skip

    @property
    def adapters(self) -> tuple[str, ...]:
        return tuple(self.loaded)

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Takes any folder but one called "broken"."""
        if folder.name == "broken":
            raise AdapterError(f"{folder.name} holds no adapter_config.json; train it again.")
        self.loaded[name] = folder

    async def unload_adapter(self, name: str) -> None:
        if name not in self.loaded:
            raise UnknownAdapter(name, self.adapters)
        del self.loaded[name]

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Event]:
        self.asked.append(request)
        self.num_running += 1
        try:
            for step in self.script:
                if self.close_reason is not None:
                    raise EngineClosed(self.close_reason)
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.num_running -= 1
            self.num_closed += 1

    async def close(self, reason: str = "the worker is shutting down") -> None:
        self.close_reason = reason


@dataclass
class FakePrompt:
    input_ids: list[int]
    loss_mask: list[bool]
    text: str
    images: tuple[ImageRef, ...]


def render(messages: Sequence[Message], system: str | None, *, open_turn: bool = True) -> FakePrompt:
    """A token a character, a picture none; the assistant's are trained; "?" stands for an open turn."""
    pieces = [(system or "", False), *((each.text, each.role == "assistant") for each in messages)]
    pieces += [("?", False)] if open_turn else []
    text = "".join(piece for piece, _ in pieces)
    mask = [trained for piece, trained in pieces for _ in piece]
    images = tuple(image for each in messages for image in each.images)
    return FakePrompt([ord(letter) for letter in text], mask, text, images)


def served(engine: ScriptedEngine) -> Served:
    return Served(
        "scripted", "llava_v0", "A chat.", "###", 2048, "Nothing.", engine, render, lambda ids: [*map(chr, ids)], 7, 16
    )  # fmt: skip


class StuckEngine(ScriptedEngine):
    """Its close hangs in a thread, as if in native code."""

    async def close(self, reason: str = "the worker is shutting down") -> None:
        await asyncio.to_thread(time.sleep, 600)


def main(port: int, kind: type[ScriptedEngine], held: Path | None = None) -> None:
    """A worker whose answers take a piece every 0.1 s, without end."""
    import uvicorn

    import model.worker
    from model.door.routes import build_app
    from model.worker import TOKEN_VARIABLE, WorkerServer, listen

    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    if kind is StuckEngine:
        model.worker.FINISH_SECONDS, model.worker.LEAVE_SECONDS = 0.2, 1.5
    pieces: list[Event | float] = [step for number in range(9999) for step in (0.1, Piece(f"{number} "))]
    readiness = Readiness("scripted")

    def load() -> None:
        while held is not None and held.exists():
            time.sleep(0.02)
        readiness.ready(served(kind([Reading(), *pieces])))

    loading = threading.Thread(target=load, daemon=True)
    config = uvicorn.Config(
        build_app(readiness, os.environ.get(TOKEN_VARIABLE)),
        log_config=None,
        timeout_graceful_shutdown=9,
        lifespan="off",
    )
    asyncio.run(
        WorkerServer(config, readiness, loading.start).serve([listen("127.0.0.1", port, reserved=True)])
    )


if __name__ == "__main__":
    if sys.argv[2:] == ["stuck"]:
        main(int(sys.argv[1]), StuckEngine)
    else:
        main(int(sys.argv[1]), ScriptedEngine, *map(Path, sys.argv[2:]))
