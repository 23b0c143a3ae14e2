"""The models that ran here lately, the newest first, in a small file beside the database.

Not in the database: they belong to this machine and its folders, not to the log, which may be shared or moved.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from dataclasses import asdict
from pathlib import Path

from app.worker_child import WorkerOptions

_log = logging.getLogger(__name__)
MOST = 8
OF_A_MODEL = (
    "model", "template", "dtype", "model_base", "adapter", "vision_tower", "quantize", "served_name",
)  # fmt: skip
"""What belongs to a model; the rest of WorkerOptions belongs to the machine."""
FOLDERS = ("model", "model_base", "adapter", "vision_tower")


class RecentModels:
    """Any number of threads may call it. A file that cannot be read or written costs the list and nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def remember(self, options: WorkerOptions) -> None:
        """This model works: it goes to the top."""
        newest = of_a_model(options)
        with self._lock:
            kept = [newest, *(each for each in self._read() if each != newest)][:MOST]
            fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            try:
                fresh.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
                fresh.replace(self._path)
            except OSError as error:
                _log.warning(
                    "%s cannot be written, so the recent models are forgotten: %s", self._path, error
                )

    def all(self) -> dict[str, WorkerOptions]:
        """By a name that stays the same as long as the choice does."""
        with self._lock:
            return {key_of(each): each for each in map(_options, self._read())}

    def _read(self) -> list[dict[str, str]]:
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read, so no recent models are shown: %s", self._path, error)
            return []
        return [each for each in told if _is_choice(each)] if isinstance(told, list) else []


def of_a_model(options: WorkerOptions) -> dict[str, str]:
    """The choice alone, said in one way: what is usual is left out, a folder has its whole path."""
    chosen = {name: value for name, value in asdict(options).items() if name in OF_A_MODEL and value}
    if chosen.get("dtype") == "auto":
        del chosen["dtype"]
    if chosen.get("quantize") == "none":
        del chosen["quantize"]
    for name in FOLDERS:
        if name in chosen and os.path.isdir(chosen[name]):  # unlike Path's, it never raises
            chosen[name] = os.path.abspath(chosen[name])
    return chosen


def key_of(options: WorkerOptions) -> str:
    return hashlib.sha256(json.dumps(of_a_model(options), sort_keys=True).encode()).hexdigest()[:16]


def _options(choice: dict[str, str]) -> WorkerOptions:
    return WorkerOptions(
        model=choice["model"],
        template=choice.get("template"),
        dtype=choice.get("dtype"),
        model_base=choice.get("model_base"),
        adapter=choice.get("adapter"),
        vision_tower=choice.get("vision_tower"),
        quantize=choice.get("quantize"),
        served_name=choice.get("served_name"),
    )


def _is_choice(told: object) -> bool:
    return (
        isinstance(told, dict)
        and bool(told.get("model"))
        and all(name in OF_A_MODEL and isinstance(value, str) for name, value in told.items())
    )
