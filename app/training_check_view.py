"""What a look through the data found, as HTML: what stops the run, the counts, how long samples are, a few of them as
they will be learned, and what the run will need."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import suppress
from html import escape
from itertools import islice
from pathlib import Path

from app.held_out import picture_bytes
from app.training_words import gigabytes
from conversations.errors import LogError
from conversations.formats.format import RowError
from conversations.json_records import records
from conversations.training_json import PictureFolder
from model.training.data_report import DataReport, SourceReport
from model.training.estimate import Estimate
from model.training.preview import Piece, SamplePreview

PICTURE_SIDE = 112
"""Of a small one, in pixels: shown at half of it, sharp on every screen."""

MAX_RECORD = 100_000
"""The pictures of a record further down are not looked for."""

_PARTS = ("base", "weights", "gradients", "optimizer", "activations")
_BAR_WIDTH, _CHART_HEIGHT, _LABEL_HEIGHT = 34, 96, 16


def report_html(report: DataReport) -> str:
    total = report.total
    return (
        _sentences(report.stops, "stops")
        + _estimate(report.estimate)
        + _counts(total, report.num_steps)
        + _sentences(report.warnings, "warnings")
        + _faults(report.sources)
        + _histogram(total.lengths, report.length_edges)
        + _previews(report)
    )


def _sentences(sentences: Sequence[str], kind: str) -> str:
    if not sentences:
        return ""
    role = ' role="alert"' if kind == "stops" else ""
    lines = "".join(f'<li dir="auto">{escape(each)}</li>' for each in sentences)
    return f'<ul class="{kind}"{role}>{lines}</ul>'


def _estimate(estimate: Estimate | None) -> str:
    """The sentence, and where the memory goes."""
    if estimate is None:
        return ""
    scale = max(estimate.memory, estimate.free_memory, 1)
    parts = [(name.capitalize(), getattr(estimate, name)) for name in _PARTS]
    bars = "".join(
        f'<i data-part="{name.lower()}" style="width: {100 * size / scale:.2f}%" '
        f'title="{name}: {gigabytes(size)}"></i>'
        for name, size in parts
    )
    words = ", ".join(f"{name.lower()} {gigabytes(size)}" for name, size in parts if size)
    free = f'<b style="left: {min(100.0, 100 * estimate.free_memory / scale):.2f}%" title="free"></b>'
    on_disk = f" On the disk: {gigabytes(estimate.feature_cache + estimate.checkpoints)}."
    state = "yes" if estimate.fits else "no"
    return (
        f'<div class="estimate" data-fits="{state}"><p dir="auto">{escape(estimate.words)}</p>'
        f'<div class="memory-bar" aria-hidden="true">{bars}{free}</div>'
        f'<p class="faint">{escape(words)}; {gigabytes(estimate.free_memory)} free.{on_disk}</p></div>'
    )


def _counts(total: SourceReport, num_steps: int) -> str:
    facts = [
        (f"{total.num_samples:,}", "samples to learn from"),
        (f"{total.num_held_out:,}", "held out"),
        (f"{total.num_pictures:,}", "pictures"),
        (f"{num_steps:,}", "steps"),
        (f"{total.num_trained_tokens:,}", f"tokens trained of {total.num_tokens:,} read, an epoch"),
    ]
    cells = "".join(f"<div><dt>{words}</dt><dd>{number}</dd></div>" for number, words in facts)
    return f'<dl class="found">{cells}</dl>'


def _faults(sources: Sequence[SourceReport]) -> str:
    named = [each for source in sources for each in (*source.record_faults, *source.picture_faults)]
    if not named:
        return ""
    lines = "".join(f'<li dir="auto">{escape(each)}</li>' for each in named)
    return f'<details class="faults"><summary>{len(named):,} found, one by one</summary><ul>{lines}</ul></details>'


def _histogram(counts: Sequence[int], edges: Sequence[int]) -> str:
    """Samples by their length in tokens; bins that are empty at both ends are left out."""
    filled = [place for place, count in enumerate(counts) if count]
    if not filled:
        return ""
    first, last = filled[0], filled[-1]
    most = max(counts)
    names = [f"≤ {edge:,}" for edge in edges] + [f"> {edges[-1]:,}"]
    width = (last - first + 1) * _BAR_WIDTH
    bars = "".join(_bar(place - first, counts[place], most, names[place]) for place in range(first, last + 1))
    height = _CHART_HEIGHT + _LABEL_HEIGHT
    return (
        '<figure class="histogram"><figcaption>Length of the samples, in tokens</figcaption>'
        f'<svg viewBox="0 0 {width} {height}" style="max-width: {round(1.3 * width)}px" role="img" '
        f'aria-label="Samples by their length in tokens">{bars}</svg></figure>'
    )


def _bar(place: int, count: int, most: int, name: str) -> str:
    height = max(1.5 if count else 0.0, (_CHART_HEIGHT - 14) * count / most)
    left, top = place * _BAR_WIDTH, _CHART_HEIGHT - height
    middle = left + _BAR_WIDTH / 2
    number = f'<text class="number" x="{middle}" y="{top - 4:.1f}">{count:,}</text>' if count else ""
    return (
        f"<g><title>{count:,} samples of {name} tokens</title>"
        f'<rect x="{left + 2}" y="{top:.1f}" width="{_BAR_WIDTH - 4}" height="{height:.1f}" rx="2"></rect>{number}'
        f'<text x="{middle}" y="{_CHART_HEIGHT + 12}">{name.removeprefix("≤ ")}</text></g>'
    )


def _previews(report: DataReport) -> str:
    if not report.previews:
        return ""
    folders = {
        source.file: PictureFolder(Path(source.pictures or Path(source.file).parent))
        for source in report.sources
    }
    shown = "".join(_preview(each, folders.get(each.source)) for each in report.previews)
    return (
        "<h3>As the model will learn it</h3>"
        f'<p class="faint"><span class="learnt">Tinted</span> is what is trained.</p>{shown}'
    )


def _preview(sample: SamplePreview, folder: PictureFolder | None) -> str:
    pictures = _pictures(sample, folder) if folder is not None else iter(())
    pieces = "".join(_piece(piece, pictures) for piece in sample.pieces)
    held_out = " · held out" if sample.held_out else ""
    return (
        f'<article class="sample"><p class="faint">{escape(Path(sample.source).name)}, record {sample.record:,} · '
        f"{sample.num_tokens:,} tokens, {sample.num_trained:,} trained{held_out}</p>"
        f'<div class="tokens" dir="auto" tabindex="0">{pieces}</div></article>'
    )


def _piece(piece: Piece, pictures: Iterator[str]) -> str:
    if piece.picture:
        address = next(pictures, "")
        shown = f'<img src="{address}" alt="">' if address else ""
        name = escape(piece.picture)
        return f'<span class="seen-picture" title="{name}">{shown}{piece.num_tokens:,} tokens</span>'
    kind = ' class="learnt"' if piece.trained else ""
    return f'<span{kind} title="{piece.num_tokens:,} tokens">{escape(piece.text)}</span>'


def _pictures(sample: SamplePreview, folder: PictureFolder) -> Iterator[str]:
    """The sample's pictures, small and in the page itself, in order; "" for one that cannot be shown."""
    if sample.record > MAX_RECORD:
        return
    row: object = None
    with suppress(LogError):
        row = next((each for _, each in islice(records(Path(sample.source)), sample.record - 1, None)), None)
    named = row.get("image") if isinstance(row, dict) else None
    for name in named if isinstance(named, list) else [named]:
        address = ""
        with suppress(LogError, RowError):
            data, media_type = picture_bytes(folder.path(str(name)), PICTURE_SIDE)
            address = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
        yield address
