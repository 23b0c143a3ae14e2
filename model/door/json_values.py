"""Values of a JSON body, each of the type that it must have, or refused in a sentence that names it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from model.door.api_error import invalid


def json_object(body: bytes) -> dict[str, Any]:
    """The body as an object. Raises ApiError."""
    try:
        values = json.loads(body)
    except RecursionError as error:
        raise invalid("The body is nested too deeply to be a request of this protocol.") from error
    except ValueError as error:
        raise invalid(f"The body is not JSON ({error}); send a JSON object.") from error
    if not isinstance(values, dict):
        raise invalid(f"The body is {shown(values)}; it must be a JSON object.")
    return values


def text(values: Mapping[str, Any], key: str) -> str:
    """A text that must be there and not be empty."""
    value = values.get(key)
    if not isinstance(value, str) or not value:
        raise invalid(f"{key} is {shown(value)}; it must be a text, and it must be given.", key)
    return value


def model_name(values: Mapping[str, Any]) -> str:
    """The model asked for; "" for the one that is served."""
    value = values.get("model")
    if value is not None and not isinstance(value, str):
        raise invalid(f"model is {shown(value)}; it must be a name from /v1/models.", "model")
    return value or ""


def flag(values: Mapping[str, Any], key: str) -> bool:
    value = values.get(key)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"{key} is {shown(value)}; it must be true or false.", key)
    return bool(value)


def number(values: Mapping[str, Any], key: str, default: float) -> float:
    value = values.get(key)
    if value is None:
        return default
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise invalid(f"{key} is {shown(value)}; it must be a number.", key)
    return number


def whole(values: Mapping[str, Any], key: str, default: int) -> int:
    value = values.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(f"{key} is {shown(value)}; it must be a whole number.", key)
    return value


def shown(value: object) -> str:
    """A value as it may stand in a sentence: short, and plain ASCII whatever was sent."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a very long number"
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
