"""The door around an engine that plays a script: what it is asked, and what it says while there is none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from model.door.limits import Limits
from model.door.readiness import Readiness
from model.door.routes import build_app
from model.engine.request import SamplingSettings
from tests.model.door.asking import HI, post, ready
from tests.model.door.scripted_engine import ScriptedEngine


def test_while_loading_it_says_so_with_the_fraction_and_after_failing_with_the_reason() -> None:
    readiness = Readiness("demo")
    readiness.progress(0.4)
    readiness.progress(0.3)  # never backwards
    loading = post(readiness, HI)
    assert loading.status_code == 503 and loading.json()["error"]["code"] == "loading"
    assert loading.json()["error"]["fraction"] == 0.4 and loading.headers["Retry-After"]
    assert readiness.health()["state"] == "loading" and readiness.health()["model"] == "demo"
    readiness.failed("There is no folder demo.")
    failed = post(readiness, HI)
    assert failed.status_code == 503 and failed.json()["error"]["code"] == "load_failed"
    assert "no folder demo" in failed.json()["error"]["message"]
    assert readiness.health()["reason"] == "There is no folder demo."


def test_a_body_over_the_limit_is_refused_whether_declared_or_not() -> None:
    small = Limits(max_body_bytes=2_000_000)
    body = json.dumps({**HI, "user": "x" * 2_000_000}).encode()
    refused = post(ready(ScriptedEngine()), body, limits=small)
    assert refused.status_code == 413
    message = refused.json()["error"]["message"]
    assert "2 MB" in message and "1,344 pixels" in message and "fewer" in message

    async def chunked() -> httpx.Response:
        async def pieces() -> Any:
            for start in range(0, len(body), 65_536):
                yield body[start : start + 65_536]

        transport = httpx.ASGITransport(build_app(ready(ScriptedEngine()), None, small))
        async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
            headers = {"Content-Type": "application/json"}
            return await client.post("/v1/chat/completions", content=pieces(), headers=headers)

    assert asyncio.run(chunked()).status_code == 413


def test_after_the_engine_broke_the_reason_is_told_and_the_worker_hears_of_it() -> None:
    readiness = ready(ScriptedEngine())
    heard: list[str] = []
    readiness.when_broken(heard.append)
    readiness.broken("The engine failed with RuntimeError: CUDA error.")
    assert heard == ["The engine failed with RuntimeError: CUDA error."] and readiness.is_broken
    assert readiness.health()["state"] == "failed" and "CUDA error" in readiness.health()["reason"]
    refused = post(readiness, HI)
    assert refused.status_code == 503 and "CUDA error" in refused.json()["error"]["message"]


def test_the_engine_gets_the_prompt_the_settings_and_the_templates_own_stop() -> None:
    engine = ScriptedEngine()
    settings = {"temperature": 0, "top_p": 0.5, "max_completion_tokens": 9, "seed": 3, "stop": "!"}
    messages = [{"role": "system", "content": "S"}, *HI["messages"]]
    post(ready(engine), {"messages": messages, "model": "scripted", **settings})
    (request,) = engine.asked
    assert request.input_ids == tuple(map(ord, "SHi?"))
    assert request.sampling == SamplingSettings(0.0, 0.5, 9, ("###", "!"), 3)
