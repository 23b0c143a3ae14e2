"""A report as a table for a terminal. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from model.training.data_report import DataReport, SourceReport
from model.training.estimate import Estimate
from model.training.preview import SamplePreview

_ROWS = (
    ("records", "num_records"),
    ("  bad ones", "num_bad_records"),
    ("  with marks that do not match", "num_wrong_marks"),
    ("examples after share", "num_examples"),
    ("  with pictures", "num_with_pictures"),
    ("  without pictures", "num_without_pictures"),
    ("  with an empty answer, left out", "num_empty_answers"),
    ("  cut to fit", "num_cut"),
    ("  too long, left out", "num_too_long"),
    ("pictures", "num_pictures"),
    ("  missing", "num_missing_pictures"),
    ("  broken", "num_broken_pictures"),
    ("  decoded whole", "num_decoded_pictures"),
    ("samples to train on", "num_samples"),
    ("samples held out", "num_held_out"),
    ("  pictures held out", "num_held_out_pictures"),
    ("tokens read an epoch", "num_tokens"),
    ("tokens learned an epoch", "num_trained_tokens"),
    ("shortest sample, tokens", "shortest"),
    ("longest sample, tokens", "longest"),
)
_BAR = 40


def table(report: DataReport) -> str:
    """Lines: the counts by source and in total, the lengths, previews, the estimate, what is wrong, the verdict."""
    return "\n".join(_lines(report))


def _lines(report: DataReport) -> Iterator[str]:
    if report.sources:
        yield f"{report.model}, template {report.template}, samples of at most {report.context_tokens} tokens"
        yield ""
        yield from _counts(report)
        yield ""
        yield from _histogram(report)
        yield ""
        for preview in report.previews:
            yield from _preview(preview)
    if report.estimate is not None:
        yield from _estimate(report.estimate)
    for source in report.sources:
        yield from (f"! {sentence}" for sentence in (*source.record_faults, *source.picture_faults))
    yield from (f"Note: {sentence}" for sentence in report.warnings)
    yield from (f"Stop: {sentence}" for sentence in report.stops)
    if report.may_start:
        yield f"The run may start: {report.num_steps} steps."


def _counts(report: DataReport) -> Iterator[str]:
    columns: list[SourceReport] = [*report.sources]
    names = [f"({number + 1})" for number in range(len(columns))]
    if len(columns) > 1:
        columns, names = [*columns, report.total], [*names, "total"]
    for name, source in zip(names, report.sources, strict=False):
        share = "" if source.share == 1 else f", share {source.share:g}"
        yield f"{name} {source.file}, pictures in {source.pictures}{share}"
    yield f"{'':<40}" + "".join(f"{name:>14}" for name in names)
    for words, field in _ROWS:
        values = [getattr(column, field) for column in columns]
        if any(values) or not words.startswith(" "):
            yield f"{words:<40}" + "".join(f"{value:>14,}" for value in values)


def _histogram(report: DataReport) -> Iterator[str]:
    bins = report.total.lengths
    if not any(bins):
        return
    yield "samples by length in tokens"
    used = [place for place, count in enumerate(bins) if count]
    for place in range(used[0], used[-1] + 1):
        edge = f"to {report.length_edges[place]}" if place < len(report.length_edges) else "more"
        bar = "#" * max(1 if bins[place] else 0, round(_BAR * bins[place] / max(bins)))
        yield f"{edge:>10} {bins[place]:>9,}  {bar}".rstrip()


def _preview(preview: SamplePreview) -> Iterator[str]:
    side = "held out" if preview.held_out else "trained on"
    yield (
        f"{preview.source}, record {preview.record}: {preview.num_tokens} tokens, {preview.num_trained} learned "
        f"([[so]]), {side}"
    )
    text = "".join(
        f"<{piece.picture}: {piece.num_tokens} tokens>" if piece.picture
        else f"[[{piece.text}]]" if piece.trained
        else piece.text
        for piece in preview.pieces
    )  # fmt: skip
    yield from (f"    {line}" for line in text.splitlines())
    yield ""


def _estimate(made: Estimate) -> Iterator[str]:
    parts = ("weights", "gradients", "optimizer", "activations", "base")
    yield "memory: " + ", ".join(f"{name} {getattr(made, name) / 1e6:,.0f} MB" for name in parts)
    learned = f", as run {made.efficiency_from} did" if made.efficiency_from else ", a first guess"
    yield (
        f"speed: {made.flops_per_second / 1e9:,.0f} GFLOP/s measured, {made.efficiency:.0%} of it expected{learned}; "
        f"{made.training_flops + made.other_flops:.2g} FLOP in all"
    )
    yield f"disk: checkpoints {made.checkpoints / 1e6:,.0f} MB, features {made.feature_cache / 1e6:,.0f} MB"
    yield made.words
