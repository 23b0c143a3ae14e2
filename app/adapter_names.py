"""What a run's adapter is called in the worker, and which name it has there now.

A worker keeps what it has loaded in a list below its --adapter-root (model/door/adapter_shelf.py), which outlives it
and the page: so the list is what tells, and nothing is kept here beside it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

LIST_NAME = "loaded_adapters.json"
LONGEST = 60

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._]+")


def name_for(job_name: str, job_id: str, taken: Collection[str]) -> str:
    """A name that the worker takes, as close to the job's as can be; with the id's end where another has it."""
    plain = unicodedata.normalize("NFKD", job_name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    name = _NOT_IN_A_NAME.sub("-", plain).strip("-._")[:LONGEST].rstrip("-._") or f"adapter-{job_id[-6:]}"
    if name not in taken:
        return name
    end = _NOT_IN_A_NAME.sub("-", job_id)[-6:].strip("-._")
    candidates = [f"{name}-{end}", *(f"{name}-{end}-{number}" for number in range(2, len(taken) + 3))]
    return next(each for each in candidates if each not in taken)


def loaded_as(runs: Path, path: str, base_model: str, served: Collection[str]) -> str | None:
    """By which name the adapter in `path` (below `runs`) is served on `base_model`, None where it is not."""
    try:
        told = json.loads((runs / LIST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    names = told.get(base_model) if isinstance(told, dict) else None
    if not isinstance(names, dict):
        return None
    return next((name for name, where in names.items() if where == path and name in served), None)
