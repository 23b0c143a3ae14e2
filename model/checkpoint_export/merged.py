"""This project's own layout, from whatever was read: an adapter, a delta or a projector ends up in one whole model."""

from __future__ import annotations

from pathlib import Path

from model.checkpoint import save

from .source import Source


def write_merged(folder: Path, source: Source) -> None:
    """Fill `folder` with what `model.checkpoint.load` reads by itself."""
    model = source.loaded.model
    save(folder, model if source.dtype is None else model.to(source.dtype), source.loaded.tokenizer)
