"""What is refused before it costs anything, and that nothing stays held whatever becomes of a request."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect

from model.door.api_error import ApiError
from model.door.chat_desk import ChatDesk
from model.door.limits import Limits
from model.door.metrics import Metrics
from model.door.readiness import Readiness
from model.door.routes import build_app
from model.engine.errors import OutOfMemory, QueueFull
from model.engine.request import Piece, Reading
from tests.model.door.asking import HI, ready
from tests.model.door.scripted_engine import HELLO, Script, ScriptedEngine, served
from tests.model.door.test_chat_request import encoded, picture, user
from tests.model.door.test_metrics import samples

TWO_PICTURES = {"messages": [user([picture(encoded((100, 100))), picture(encoded((100, 50)))])]}
THEIR_BYTES = 3 * 100 * 150


@dataclass
class Call:
    """One request, by the server's own interface: `pieces` come one after the other, and at last the reader leaves
    (`leaves`) or stays for the answer."""

    pieces: list[bytes]
    leaves: bool = False
    headers: list[tuple[bytes, bytes]] = field(
        default_factory=lambda: [(b"content-type", b"application/json")]
    )
    sent: list[dict[str, Any]] = field(default_factory=list)
    has_left: asyncio.Event = field(default_factory=asyncio.Event)
    num_received: int = 0

    def __post_init__(self) -> None:
        self._waiting = self._messages()

    async def receive(self) -> dict[str, Any]:
        self.num_received += 1
        return await anext(self._waiting)

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def scope(self) -> dict[str, Any]:
        return {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
                "headers": self.headers, "asgi": {"spec_version": "2.3"}}  # fmt: skip

    async def _messages(self) -> AsyncIterator[dict[str, Any]]:
        for place, piece in enumerate(self.pieces):
            whole = place == len(self.pieces) - 1 and not self.leaves
            await asyncio.sleep(0)
            yield {"type": "http.request", "body": piece, "more_body": not whole}
        if not self.leaves:
            await self.has_left.wait()
        while True:
            yield {"type": "http.disconnect"}


def in_pieces(body: object, length: int = 500) -> list[bytes]:
    whole = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [whole[start : start + length] for start in range(0, len(whole), length)]


def a_desk(engine: ScriptedEngine, **limits: int) -> ChatDesk:
    readiness = Readiness("scripted")
    readiness.ready(served(engine))
    return ChatDesk(readiness, Limits(**limits), Metrics(readiness))


# --- a full line ----------------------------------------------------------------------------------


def test_a_full_line_refuses_before_the_body_is_read() -> None:
    call = Call(in_pieces(TWO_PICTURES))
    asyncio.run(build_app(ready(ScriptedEngine(is_full=True)), None)(call.scope, call.receive, call.send))  # type: ignore[arg-type]
    head = call.sent[0]
    assert head["status"] == 429 and int(dict(head["headers"])[b"retry-after"]) > 0
    error = json.loads(call.sent[1]["body"])["error"]
    assert (error["code"], error["type"]) == ("queue_full", "rate_limit_error")
    assert call.num_received == 0


def test_a_line_that_filled_while_the_body_came_refuses_before_pictures_are_decoded() -> None:
    engine = ScriptedEngine()

    async def pieces() -> AsyncIterator[bytes]:
        for piece in in_pieces({"messages": [user([picture("data:image/png;base64,AAAA")])]}, 20):
            yield piece
            engine.is_full = True

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(build_app(ready(engine), None))
        async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
            headers = {"Content-Type": "application/json"}
            return await client.post("/v1/chat/completions", content=pieces(), headers=headers)

    assert asyncio.run(ask()).json()["error"]["code"] == "queue_full"


# --- a reader who leaves --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/prompt"])
def test_who_leaves_while_the_body_comes_is_no_fault_of_ours(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    call = Call(in_pieces(TWO_PICTURES), leaves=True)
    app = build_app(ready(ScriptedEngine()), None)

    async def leave() -> str:
        await app({**call.scope, "path": path}, call.receive, call.send)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as client:
            return (await client.get("/metrics")).text

    counted = samples(asyncio.run(leave()))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    ended = {name for name in counted if name.startswith("llava_loop_requests_total")}
    assert ended == ({"llava_loop_requests_total{left}"} if path.endswith("completions") else set())


# --- the bytes of all -----------------------------------------------------------------------------


def test_a_body_that_does_not_fit_beside_the_others_is_refused_as_soon_as_that_is_known() -> None:
    desk = a_desk(ScriptedEngine(), max_held_bytes=2_000)
    others = desk.budget.hold()
    others.set(1_750)
    declared = Call(in_pieces(TWO_PICTURES))
    declared.headers.append((b"content-length", b"400"))
    undeclared = Call(in_pieces(TWO_PICTURES, 100))
    for call, num_received in ((declared, 0), (undeclared, 3)):
        with pytest.raises(ApiError, match=r"together they may hold 0\.002 MB") as refused:
            asyncio.run(desk.answer(Request(call.scope, call.receive)))
        assert (refused.value.status, refused.value.code) == (429, "queue_full")
        assert call.num_received == num_received and desk.budget.held_bytes == 1_750


def test_pictures_that_do_not_fit_beside_those_that_wait_are_refused_and_fit_when_these_are_read() -> None:
    """Two requests of 45 kB where 60 kB may be held: the second one fits once the first one's text begins."""
    engine = ScriptedEngine((Reading(), 0.2, Piece("a"), 3600.0))
    desk = a_desk(engine, max_held_bytes=60_000)

    async def both() -> None:
        first, second, third = (Call(in_pieces({**TWO_PICTURES, "stream": True})) for _ in range(3))
        waiting = await desk.answer(Request(first.scope, first.receive))
        assert desk.budget.held_bytes == THEIR_BYTES
        with pytest.raises(ApiError, match="Ask again in a while") as refused:
            await desk.answer(Request(second.scope, second.receive))
        assert refused.value.status == 429 and desk.budget.held_bytes == THEIR_BYTES
        reading = asyncio.create_task(waiting(first.scope, first.receive, first.send))  # type: ignore[arg-type]
        async with asyncio.timeout(180):
            while desk.budget.held_bytes:
                await asyncio.sleep(0.01)
        await desk.answer(Request(third.scope, third.receive))
        assert desk.budget.held_bytes == THEIR_BYTES
        first.has_left.set()
        await reading

    asyncio.run(both())


def test_the_prompt_of_a_conversation_holds_its_body_only_while_it_is_looked_at() -> None:
    desk = a_desk(ScriptedEngine(), max_held_bytes=10_000)
    call = Call(in_pieces(TWO_PICTURES))
    told = asyncio.run(desk.prompt(Request(call.scope, call.receive)))
    assert told["num_pictures"] == 2 and desk.budget.held_bytes == 0


SCRIPTS: list[Script] = [
    HELLO,
    (Reading(), 0.01, Piece("Ha"), 0.01, *HELLO[2:]),
    (QueueFull(64),),
    (Reading(), OutOfMemory(1, 1, "no")),
    (Reading(), 5.0),
    (0.02, Reading(), ZeroDivisionError()),
]


def test_whatever_becomes_of_requests_nothing_stays_held() -> None:
    """Answered, refused, broken, left at any moment, cut off by the server: at random, many at a time."""
    chance = random.Random(3)
    engine = ScriptedEngine()
    desk = a_desk(engine, max_held_bytes=250_000, max_body_bytes=30_000)
    bodies: list[Any] = [TWO_PICTURES, HI, b"{", b"x" * 40_000, {**HI, "model": "none"}]
    bodies += [{"messages": [user([picture("data:image/png;base64,AAAA")])]}]
    most = [0]

    async def one() -> None:
        body = chance.choice(bodies[:1] * 4 + bodies)
        if isinstance(body, dict):
            body = {**body, "stream": chance.random() < 0.6}
        call = Call(in_pieces(body, chance.choice([90, 9_000])), leaves=chance.random() < 0.15)
        engine.script, engine.is_full = chance.choice(SCRIPTS), chance.random() < 0.1
        request = Request(call.scope, call.receive)
        deed = desk.prompt(request) if chance.random() < 0.2 else _answered(desk, request, call)
        answering: asyncio.Task[Any] = asyncio.create_task(deed)  # type: ignore[arg-type]
        asyncio.get_running_loop().call_later(chance.random() * 0.1, call.has_left.set)
        if chance.random() < 0.2:
            await asyncio.sleep(chance.random() * 0.05)
            answering.cancel()
        most[0] = max(most[0], desk.budget.held_bytes)
        ended = (await asyncio.gather(answering, return_exceptions=True))[0]
        allowed = ApiError | ClientDisconnect | asyncio.CancelledError | ZeroDivisionError | dict | None
        assert isinstance(ended, allowed), ended

    async def all_of_them() -> None:
        async with asyncio.timeout(600):
            for _ in range(15):
                await asyncio.gather(*(one() for _ in range(20)))

    asyncio.run(all_of_them())
    assert most[0] > THEIR_BYTES, "else nothing was shown"
    assert desk.budget.held_bytes == 0 and engine.num_running == 0


async def _answered(desk: ChatDesk, request: Request, call: Call) -> None:
    response = await desk.answer(request)
    await response(call.scope, call.receive, call.send)  # type: ignore[arg-type]


def test_a_request_may_always_be_as_large_as_one_may_be() -> None:
    limits = Limits()
    all_pictures = limits.max_pictures * 3 * limits.longest_side**2
    assert limits.max_held_bytes > 3 * max(limits.max_body_bytes, all_pictures)
