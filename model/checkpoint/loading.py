"""Reading a checkpoint of any format: look at it, check it, build it. The steps in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..device import choose_device, choose_dtype
from .assembly import fill
from .heap import large_blocks_apart
from .hub import Hub
from .loaded_model import LoadedModel
from .look import look
from .placement import choose_device_map
from .quantisation import choose_quantize

OnProgress = Callable[[float], None]
LOOKED_AT = 0.05
"""How much of the bar is done once the checkpoint was looked at; a share of the bar, not a measurement."""


def load(
    source: Path | str,
    *,
    model_base: str | Path | None = None,
    adapter: str | Path | None = None,
    vision_tower: str | Path | None = None,
    dtype: str | None = "float32",
    quantize: str = "none",
    device: str = "auto",
    device_map: str = "none",
    template: str | None = None,
    on_progress: OnProgress | None = None,
    hub: Hub | None = None,
) -> LoadedModel:
    """Read a checkpoint of any format that docs/checkpoints.md lists.

    `model_base` completes a delta, an adapter or a projector; `adapter` is merged into a complete checkpoint;
    `vision_tower` goes before the tower that LLaVA's own configs name. `dtype` "auto" is float32 on a CPU or Apple's
    GPU, on other GPUs bfloat16 where they compute in it, else float16; None keeps each tensor in the format
    that it has on disk, for writing it again. `quantize` is none, 8bit or 4bit. `device_map` "auto" shares the model
    out over the GPUs there are. `template` overrides the one that the config names. `on_progress` gets 0..1. `hub`
    fetches what is named and is no folder here. What was recognised is logged, and in `LoadedModel.told`. Raises
    CheckpointError.
    """
    report = on_progress or (lambda fraction: None)
    report(0.0)
    torch_device = choose_device(device)
    torch_dtype = None if dtype is None else choose_dtype(dtype, torch_device)
    bits = choose_quantize(quantize, torch_device)
    choose_device_map(device_map)
    looked = look(
        source, model_base=model_base, adapter=adapter, vision_tower=vision_tower, template=template, hub=hub
    )
    found, config, model = looked.found, looked.config, looked.model
    placement = looked.place(torch_device, torch_dtype, bits, device_map)
    report(LOOKED_AT)
    with large_blocks_apart():
        numbers = fill(
            model,
            found.plan,
            folder=found.folder,
            dtype=torch_dtype,
            quantize=bits,
            placement=placement,
            report=lambda fraction: report(LOOKED_AT + (1 - LOOKED_AT) * fraction),
        )
    report(1.0)
    longest = int(config.text_config.max_position_embeddings)
    return LoadedModel(
        name=Path(source).resolve().name if Path(source).is_dir() else str(source),
        model=model,
        tokenizer=found.tokenizer,
        template=looked.template,
        num_patches=model.num_patches,
        image_token_id=int(config.image_token_id),
        context_tokens=min(longest, int(found.values.get("context_tokens") or longest)),
        about=str(found.values.get("about", "")),
        pixels=looked.pixels,
        image_wrap=looked.image_wrap,
        quantize=bits,
        told=tuple(found.told),
        base_numbers=numbers,
    )
