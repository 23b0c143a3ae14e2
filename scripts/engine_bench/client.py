"""Clients of a server: the `openai` package, streaming, as people's programs do."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from typing import Any

from openai import AsyncOpenAI

from scripts.engine_bench.talk import Talk, as_png
from scripts.engine_bench.timed import Timed


def body(talk: Talk) -> list[dict[str, Any]]:
    """The messages of a first turn as the protocol wants them, pictures as data URLs."""
    parts: list[dict[str, Any]] = []
    for part in talk.messages[0].content:
        if isinstance(part, str):
            parts.append({"type": "text", "text": part})
        else:
            data = base64.b64encode(as_png(talk.pictures[part.sha256])).decode("ascii")
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
    return [{"role": "system", "content": talk.system}, {"role": "user", "content": parts}]


def ask_together(
    base_url: str, model: str, bodies: Sequence[list[dict[str, Any]]], answer_tokens: int
) -> list[Timed]:
    """One client a body, all at once; connections are made anew, as by people who come."""

    async def together() -> list[Timed]:
        async with AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=600) as client:
            return await asyncio.gather(*(_ask(client, model, one, answer_tokens) for one in bodies))

    return asyncio.run(together())


async def _ask(client: AsyncOpenAI, model: str, messages: Any, answer_tokens: int) -> Timed:
    started = time.monotonic()
    times: list[float] = []
    pieces: list[str] = []
    num_tokens = 0
    stream = await client.chat.completions.create(
        model=model,
        messages=messages,
        temperature=0.0,
        max_tokens=answer_tokens,
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        if chunk.usage is not None:
            num_tokens = chunk.usage.completion_tokens
        if chunk.choices and chunk.choices[0].delta.content:
            times.append(time.monotonic())
            pieces.append(chunk.choices[0].delta.content)
    return Timed(started, tuple(times), time.monotonic(), "".join(pieces), num_tokens)
