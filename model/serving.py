"""Loads a checkpoint for the worker and joins it to an engine. This is where torch is first imported."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from conversations.messages import Message
from model.door.readiness import Readiness, RenderedPrompt, Served
from model.engine.errors import AdapterError
from model.engine.request import Engine

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel

_log = logging.getLogger(__name__)
LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
LOADED_SHARE = 0.95
IMPORT_SHARE = 0.3
"""How much of a small model's start is the import of torch and transformers; a share of the bar, not a measurement."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What to load and how. `template` None means the one that the checkpoint names; `threads` 0 the machine's own.

    `model_base`, `adapter` and `vision_tower` complete it; all of these may be folders or names on the Hub. `quantize`
    is none, 8bit or 4bit; `device_map` auto shares it out over several GPUs. `cache_gb` is what the keys and values may
    take together, in 10^9 bytes (None: chosen from the memory there is).
    `adapters` are names and folders of adapters that are served from the start; `name` is what the model is called, ""
    for the folder's.
    """

    model: str
    template: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    threads: int = 0
    cache_gb: float | None = None
    adapters: Mapping[str, Path] = field(default_factory=dict)
    model_base: str | None = None
    adapter: str | None = None
    vision_tower: str | None = None
    quantize: str = "none"
    device_map: str = "none"
    name: str = ""


def load_in_background(choice: ModelChoice, readiness: Readiness) -> threading.Thread:
    """Loads in a thread of its own, so that /health answers at once. A failure ends in readiness.failed."""
    thread = threading.Thread(target=_load, args=(choice, readiness), name="loading", daemon=True)
    thread.start()
    return thread


def _load(choice: ModelChoice, readiness: Readiness) -> None:
    started = time.monotonic()
    if not _is_folder(choice.model) and not _may_be_on_the_hub(choice.model):
        # told at once: importing what would find it out takes long
        readiness.failed(
            f"There is no folder {choice.model}; give the path of a checkpoint folder, or a name on the Hub such as "
            "llava-hf/llava-1.5-7b-hf."
        )
        return
    try:
        readiness.progress(0.02)
        # Pages of 2 MB for large tensors, where the system leaves it to programs; torch reads it once.
        os.environ.setdefault(LARGE_PAGES, "1")
        from model import checkpoint

        readiness.progress(IMPORT_SHARE)
        _set_threads(choice.threads)
        loaded = checkpoint.load(
            choice.model,
            model_base=choice.model_base,
            adapter=choice.adapter,
            vision_tower=choice.vision_tower,
            dtype=choice.dtype,
            quantize=choice.quantize,
            device=choice.device,
            device_map=choice.device_map,
            template=choice.template,
            on_progress=lambda fraction: readiness.progress(
                IMPORT_SHARE + (LOADED_SHARE - IMPORT_SHARE) * fraction
            ),
            hub=checkpoint.Hub(on_download=lambda told: readiness.progress(IMPORT_SHARE, told.words)),
        )
        readiness.ready(_warm(replace(loaded, name=choice.name or loaded.name), choice, readiness))
    except MemoryError:
        readiness.failed(
            "Memory ran out while the weights were read; choose a smaller model or a smaller --dtype."
        )
    except Exception as error:  # noqa: BLE001 - the thread's edge: every cause must reach the page in words
        _log.exception("%s cannot be loaded: %s", choice.model, error)
        readiness.failed(f"{error}" or type(error).__name__)
    else:
        _log.info("%s is ready after %.1f s", loaded.name, time.monotonic() - started)


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except OSError:  # a name that no file can have, for its length
        return False


def _may_be_on_the_hub(name: str) -> bool:
    """`org/name`, perhaps with a revision: which the Hub is asked for is found out there."""
    return not Path(name).is_absolute() and name.partition("@")[0].count("/") == 1


def _set_threads(threads: int) -> None:
    """No more threads than cores that this process may use: a container often has fewer than the machine."""
    import torch

    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    torch.set_num_threads(threads or min(torch.get_num_threads(), cores))


def _warm(loaded: LoadedModel, choice: ModelChoice, readiness: Readiness) -> Served:
    """An engine that has answered once. What that answer failed with is why the model cannot be served."""
    from model.engine.slot_engine import SlotEngine
    from model.engine.warm_up import warm_up

    engine = SlotEngine(
        loaded,
        cache_bytes=None if choice.cache_gb is None else int(choice.cache_gb * 1e9),
        on_broken=readiness.broken,
        take_weights=True,
    )
    try:
        warm_up(loaded, engine)
        asyncio.run(_load_adapters(engine, choice.adapters))
    except Exception:
        asyncio.run(engine.close())
        raise
    return _served(loaded, engine)


async def _load_adapters(engine: Engine, adapters: Mapping[str, Path]) -> None:
    """One that cannot be loaded is left out, with a word: it must not keep the base model from being served."""
    for name, folder in adapters.items():
        try:
            await engine.load_adapter(name, folder)
        except AdapterError as error:
            _log.warning("%s", error)


def _served(loaded: LoadedModel, engine: Engine) -> Served:
    from model.prompt import render
    from model.token_pieces import token_pieces

    def render_turns(
        messages: Sequence[Message], system: str | None, *, open_turn: bool = True
    ) -> RenderedPrompt:
        return render(
            loaded.template,
            messages,
            loaded.tokenizer,
            num_patches=loaded.num_patches,
            image_token_id=loaded.image_token_id,
            system=system,
            open_turn=open_turn,
            image_wrap=loaded.image_wrap,
        )

    return Served(
        model=loaded.name,
        template=loaded.template.name,
        system=loaded.template.system,
        stop=loaded.template.stop,
        context_tokens=loaded.context_tokens,
        about=loaded.about,
        engine=engine,
        render=render_turns,
        token_pieces=lambda ids: token_pieces(loaded.tokenizer, ids),
        image_token_id=loaded.image_token_id,
        num_patches=loaded.num_patches,
    )
