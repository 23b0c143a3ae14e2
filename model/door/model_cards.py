"""The models that can be asked for: the base model first, then its adapters, as vLLM lists them (`root`, `parent`).

`root` is a name, never a path of this machine: whoever may ask for the list need not know where things lie.
"""

from __future__ import annotations

from typing import Any

from model.door.api_error import ApiError
from model.door.readiness import Served


def model_cards(served: Served) -> list[dict[str, Any]]:
    """One card a model, the base model's first."""
    return [_base_card(served), *(_adapter_card(served, name) for name in served.engine.adapters)]


def model_card(served: Served, name: str) -> dict[str, Any]:
    """Raises ApiError (model_not_found)."""
    chosen = chosen_model(served, name)
    return _base_card(served) if chosen == served.model else _adapter_card(served, chosen)


def chosen_model(served: Served, name: str) -> str:
    """The base model or adapter that a request names, "" being the base model. Raises ApiError (model_not_found)."""
    names = (served.model, *served.engine.adapters)
    if name and name not in names:
        known = " or ".join(repr(each) for each in names[:8])
        message = f"The model {name[:80]!r} is not served here; ask for {known}."
        raise ApiError(404, "model_not_found", message, param="model")
    return name or served.model


def _base_card(served: Served) -> dict[str, Any]:
    return _card(served, served.model, root=served.model, parent=None) | {"about": served.about}


def _adapter_card(served: Served, name: str) -> dict[str, Any]:
    return _card(served, name, root=name, parent=served.model)


def _card(served: Served, name: str, *, root: str, parent: str | None) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "llava-loop",
        "root": root,
        "parent": parent,
        "max_model_len": served.context_tokens,
    }
