"""What a server offers beside plain answers: told by our own worker, read from another's OpenAPI description, or learnt
from what it refuses.

What nobody tells is taken for absent, but for the seed, which is part of the protocol. The page switches off what is
not there; nothing is faked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from app.worker_errors import WorkerRefused
from app.worker_values import ServerFeatures

CHAT = "/v1/chat/completions"
OPTIONAL_FIELDS = ("seed", "top_k", "stop", "stream_options")
"""What may be left out of a request for the sake of a server that refuses it by name."""
_UNWANTED = re.compile(
    r"unexpected|unsupported|unknown|unrecogni[sz]ed|extra|not (support|permit|allow|implement|recogni)",
    re.IGNORECASE,
)


def told_features(names: object) -> ServerFeatures:
    """Of our own worker's /health, which lists them; one that lists none is older than they are."""
    if not isinstance(names, list):
        return ServerFeatures(health=True, stop=True)
    offered = {field.name: field.name in names for field in fields(ServerFeatures)}
    return ServerFeatures(**offered | {"health": True})


def described_features(openapi: object) -> ServerFeatures:
    """Of /openapi.json, as FastAPI writes it. Anything else counts as no description at all."""
    paths = openapi.get("paths") if isinstance(openapi, dict) else None
    if not isinstance(openapi, dict) or not isinstance(paths, dict):
        return ServerFeatures()
    known = set(_properties(openapi, paths.get(CHAT)))
    return ServerFeatures(
        seed=not known or "seed" in known,
        top_k="top_k" in known,
        stop="stop" in known,
        prompt=False,  # an address of that name elsewhere would be something else
        adapters={"/v1/load_lora_adapter", "/v1/unload_lora_adapter"} <= paths.keys(),
    )


def refused_field(refused: WorkerRefused, body: Mapping[str, Any]) -> str | None:
    """The field that the server would rather not have had, where its refusal names one that can be left out.

    A server that holds a single model refuses every other name, also one that it has listed itself; it is then asked
    without a name.
    """
    if refused.status not in (400, 422):
        return None
    for name in OPTIONAL_FIELDS:
        if name in body and re.search(rf"\b{name}\b", refused.message) and _UNWANTED.search(refused.message):
            return name
    return "model" if "model" in body and "pinned to" in refused.message else None


def _properties(openapi: Mapping[str, Any], path: object) -> Iterator[str]:
    """The fields of the body that is posted to `path`."""
    schema = _within(path, "post", "requestBody", "content", "application/json", "schema")
    for part in _parts(schema):
        reference = part.get("$ref")
        if isinstance(reference, str):
            part = _within(openapi, *reference.removeprefix("#/").split("/")) or {}
        properties = part.get("properties")
        if isinstance(properties, dict):
            yield from properties


def _parts(schema: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for kind in ("allOf", "anyOf", "oneOf"):
            several = schema.get(kind)
            yield from (
                (part for part in several if isinstance(part, dict)) if isinstance(several, list) else ()
            )


def _within(value: object, *keys: str) -> dict[str, Any] | None:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None
