"""What was exported before, as HTML: when, in which format, how many rows, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from conversations.manifest import Manifest


def exports_html(exports: Sequence[tuple[str, Manifest]], folder: Path) -> str:
    if not exports:
        return '<p class="faint">Nothing was exported yet.</p>'
    return f'<ul class="made">{"".join(_line(name, manifest, folder) for name, manifest in exports)}</ul>'


def _line(name: str, manifest: Manifest, folder: Path) -> str:
    counts = manifest.counts
    numbers = (
        ", ".join(f"{number:,} {side}" for side, number in counts["rows"].items() if number) or "no rows"
    )
    left_out = sum(counts["left_out"].values())
    without = f" · {left_out:,} left out" if left_out else ""
    return (
        f'<li data-export="{escape(name)}"><b>{escape(manifest.format)}</b> <span>{numbers}{without}</span>'
        f'<code dir="auto">{escape(str(folder / name))}</code>'
        '<button type="button" class="link" data-do="export-again">Again</button>'
        f'<a class="choice" href="library/exports/{escape(name)}.zip" download>Download .zip</a></li>'
    )
