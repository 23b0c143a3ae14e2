"""Another model on the running page: what can be picked, how far it is, and what is typed checked at the door.

The worker is told to become another one; page, conversations and log know nothing of it but the new name.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from app import wording
from app.browser_event import BrowserEvent
from app.model_trial import ModelSwitch
from app.recent_models import RecentModels, key_of, of_a_model
from app.settings import DTYPES, QUANTIZE, ROOT
from app.worker_child import WorkerOptions
from app.worker_process import WorkerState
from conversations.errors import InvalidText

LONGEST_NAME = 1000
_ON_THE_HUB = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,200})?", re.ASCII)
NOT_FOR_YOU = "Only an admin of this page can change the model; ask one of them."


class Switchable(Protocol):
    """The part of WorkerProcess that is needed here."""

    @property
    def options(self) -> WorkerOptions: ...
    @property
    def state(self) -> WorkerState: ...
    @property
    def last_switch(self) -> ModelSwitch: ...
    def switch(self, options: WorkerOptions) -> None: ...


class ModelPicker:
    """For admins only; who that is, the caller knows."""

    def __init__(self, worker: Switchable, recent: RecentModels) -> None:
        self._worker = worker
        self._recent = recent

    def told(self) -> dict[str, Any]:
        """What the picker shows: the wanted model, how far it is, why the last change failed, the recent ones."""
        wanted, state = self._worker.options, self._worker.state
        running = key_of(wanted)
        looking = state.looking
        busy = looking is not None or state.phase in ("starting", "loading", "restarting", "paused")
        return {
            "running": {"name": name_of(wanted), "facts": facts_of(wanted)},
            "busy": busy,
            "fraction": state.fraction if looking is None else looking.fraction,
            "words": looking.words if looking is not None else wording.worker_state(state) if busy else "",
            "failed": failure(self._worker.last_switch),
            "number": self._worker.last_switch.number,
            "recent": [
                {"key": key, "name": name_of(each), "facts": facts_of(each)}
                for key, each in self._recent.all().items()
                if key != running
            ],
        }

    def switch(self, event: BrowserEvent) -> None:
        """Start the model that was picked or typed. Raises InvalidText before anything is ended for it."""
        key = event.text("recent", 64)
        picked = self._recent.all().get(key) if key else _typed(event)
        if picked is None:
            raise InvalidText("This model is no longer on the list; type its folder or its name on the Hub.")
        machine = self._worker.options
        self._worker.switch(
            replace(
                picked,
                device=machine.device,
                device_map=machine.device_map,
                cache_gb=machine.cache_gb,
                adapter_root=machine.adapter_root,
            )
        )


def name_of(options: WorkerOptions) -> str:
    """The name that it was given, a name on the Hub, or a folder as it is seen from the program's own."""
    return _readable(options.served_name or _place_of(options))


def facts_of(options: WorkerOptions) -> str:
    """What was chosen beside it, in a few words."""
    chosen = of_a_model(options)
    said = {
        "dtype": "{}",
        "quantize": "{}",
        "template": "template {}",
        "model_base": "on {}",
        "adapter": "with {}",
    }
    said |= {"vision_tower": "sees with {}"}
    facts = [words.format(chosen[name]) for name, words in said.items() if name in chosen]
    return _readable(", ".join([*([_place_of(options)] if options.served_name else []), *facts]))


def _place_of(options: WorkerOptions) -> str:
    model = Path(of_a_model(options)["model"])
    return str(model.relative_to(ROOT) if model.is_relative_to(ROOT) else model)


def failure(switch: ModelSwitch) -> str:
    """Why the last change did not come to pass, and what runs instead; "" where it did."""
    if switch.phase != "failed" or switch.wanted is None:
        return ""
    kept = f"{name_of(switch.kept)} is kept." if switch.kept else "No model was running before it."
    return f"{name_of(switch.wanted)} could not be loaded: {_ended(switch.reason)} {kept}"


def _readable(name: str) -> str:
    """A folder's name may hold bytes that are no text, which no message can carry."""
    return name.encode(errors="replace").decode()


def _ended(reason: str) -> str:
    reason = reason.strip() or "no reason was given"
    return reason if reason[-1] in ".!?" else f"{reason}."


def _typed(event: BrowserEvent) -> WorkerOptions:
    dtype, quantize = event.text("dtype") or "auto", event.text("quantize") or "none"
    if dtype not in DTYPES or quantize not in QUANTIZE:
        raise InvalidText(wording.FORGED)
    base = event.text("model_base", LONGEST_NAME).strip()
    return WorkerOptions(
        model=source_of(event.text("model", LONGEST_NAME).strip()),
        model_base=source_of(base) if base else None,
        dtype=dtype,
        quantize=quantize,
    )


def source_of(typed: str) -> str:
    """A folder's whole path, or a name on the Hub as it is. Raises InvalidText: the model that runs is not ended for
    what can be no model."""
    if not typed:
        raise InvalidText(
            "Type a checkpoint's folder, or its name on the Hub such as llava-hf/llava-1.5-7b-hf."
        )
    if not typed.isprintable():
        raise InvalidText("The model's name contains characters that cannot be shown; type it anew.")
    try:
        folder = ROOT / Path(typed).expanduser()
        if folder.is_dir():
            return str(folder.absolute())
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidText(f"{shortened(typed)} cannot be looked at: {_ended(why or '')}") from error
    if _ON_THE_HUB.fullmatch(typed):
        return typed
    raise InvalidText(
        f"There is no folder {shortened(typed)}; give the path of a checkpoint folder, or a name on the Hub such as "
        "llava-hf/llava-1.5-7b-hf."
    )


def shortened(text: str, longest: int = 120) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
