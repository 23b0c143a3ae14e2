"""Asking the door without a socket: one request to the application itself, around an engine that plays a script."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from model.door.readiness import Readiness
from model.door.routes import build_app
from tests.model.door.scripted_engine import HELLO, Script, ScriptedEngine, served

HI: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def ready(engine: ScriptedEngine) -> Readiness:
    readiness = Readiness("scripted")
    readiness.ready(served(engine))
    return readiness


class Door:
    """One application, asked as often as one likes; a caller brings its token, unless `headers` has another one."""

    def __init__(self, readiness: Readiness, token: str | None = None, **options: Any) -> None:
        self._app = build_app(readiness, token, options.pop("limits", None), **options)
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def post(self, path: str, body: object, headers: dict[str, Any] | None = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._call("POST", path, {"Content-Type": "application/json", **(headers or {})}, content)

    def get(self, path: str, headers: dict[str, Any] | None = None) -> httpx.Response:
        return self._call("GET", path, headers or {})

    def _call(self, method: str, path: str, headers: dict[str, Any], content: bytes = b"") -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
                return await client.request(
                    method, path, content=content, headers={**self._headers, **headers}
                )

        return asyncio.run(call())


def post(readiness: Readiness, body: object, token: str | None = None, **options: Any) -> httpx.Response:
    """One request for an answer, without the token unless `headers` has it."""
    door = Door(
        readiness, token, limits=options.pop("limits", None), **_only(options, "loopback_only", "shelf")
    )
    door._headers = {}
    return door.post("/v1/chat/completions", body, options.get("headers"))


def _only(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options.pop(name) for name in names if name in options}


def ask(script: Script = HELLO, **body: Any) -> httpx.Response:
    return post(ready(ScriptedEngine(script)), {**HI, **body})


def events_of(response: httpx.Response) -> list[Any]:
    """Comments as dicts, data as dicts or "[DONE]"."""
    events: list[Any] = []
    for line in response.text.splitlines():
        if line.startswith(": "):
            events.append(json.loads(line[2:]))
        elif line.startswith("data: "):
            events.append("[DONE]" if line == "data: [DONE]" else json.loads(line[6:]))
    return events
