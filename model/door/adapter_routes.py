"""POST /v1/load_lora_adapter and /v1/unload_lora_adapter, by vLLM's convention: `lora_name`, `lora_path`, an answer in
words. Only with a token, and only from the folder that the worker was started with."""

from __future__ import annotations

import asyncio
from typing import Any

from model.door.adapter_shelf import AdapterShelf, adapter_name
from model.door.api_error import ApiError, from_engine, invalid
from model.door.json_values import flag, json_object, text
from model.door.readiness import Readiness
from model.engine.errors import EngineError, UnknownAdapter


class AdapterDesk:
    """Loads and unloads one at a time, and keeps the list that outlives the worker."""

    def __init__(self, readiness: Readiness, shelf: AdapterShelf | None, *, has_token: bool) -> None:
        """`shelf` None: the worker was started without a folder for adapters."""
        self._readiness = readiness
        self._shelf = shelf
        self._has_token = has_token
        self._one_at_a_time = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether adapters can be loaded here at all."""
        return self._shelf is not None and self._has_token

    async def load(self, body: bytes) -> str:
        """The sentence of success. Raises ApiError."""
        shelf = self._opened()
        values = json_object(body)
        name, path = adapter_name(text(values, "lora_name")), text(values, "lora_path")
        served = self._readiness.served
        folder = shelf.folder(path)
        async with self._one_at_a_time:
            if name == served.model:
                raise invalid(
                    f"{name!r} is the base model's name; give the adapter another one.", "lora_name"
                )
            if name in served.engine.adapters and not flag(values, "load_inplace"):
                raise invalid(
                    f"The adapter {name!r} is loaded already; unload it first, or send load_inplace: true.",
                    "lora_name",
                )
            try:
                await served.engine.load_adapter(name, folder)
            except EngineError as error:
                raise from_engine(error) from error
            await asyncio.to_thread(shelf.remember, name, folder)
        return f"Success: LoRA adapter '{name}' added successfully."

    async def unload(self, body: bytes) -> str:
        """The sentence of success. Raises ApiError."""
        shelf = self._opened()
        name = text(json_object(body), "lora_name")
        served = self._readiness.served
        async with self._one_at_a_time:
            try:
                await served.engine.unload_adapter(name)
            except UnknownAdapter as error:
                raise ApiError(404, "adapter_not_found", str(error), param="lora_name") from error
            except EngineError as error:
                raise from_engine(error) from error
            await asyncio.to_thread(shelf.forget, name)
        return f"Success: LoRA adapter '{name}' removed successfully."

    def _opened(self) -> AdapterShelf:
        if self._shelf is None:
            raise _closed("without --adapter-root")
        if not self._has_token:
            raise _closed("without a token")
        return self._shelf


def _closed(why: str) -> ApiError:
    message = (
        f"This worker was started {why}, so it loads no adapters; start it with --adapter-root and a token."
    )
    return ApiError(403, "forbidden", message)


def features(desk: AdapterDesk) -> list[str]:
    """What this worker offers beside the protocol, for /health: the page switches off what is not named."""
    named: dict[str, Any] = {
        "seed": True,
        "top_k": True,
        "stop": True,
        "prompt": True,
        "adapters": desk.is_open,
    }
    return [name for name, offered in named.items() if offered]
