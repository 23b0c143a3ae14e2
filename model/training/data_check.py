"""A look through the data before a run starts: what is there, what is wrong with it, what will be learned. No torch.

Examples are read, drawn, split and rendered by model/training/samples.py, as the run itself does it. On top of that,
all bad records of a file are named at once, and broken pictures are looked for more closely (picture_check.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from conversations.formats.contents import MARK
from conversations.messages import ImageRef
from conversations.training_json import PictureFolder, faults
from model.training import samples as reading
from model.training.config import DataSource, TrainingConfig
from model.training.data_report import LENGTH_EDGES, MAX_NAMED, DataReport, SourceReport, length_bin
from model.training.picture_check import MAX_BROKEN_SHARE, PictureCheck
from model.training.preview import SamplePreview, preview_of
from model.training.rendering import Rendering
from model.training.samples import Drawn, Sample, Samples
from model.training.workload import Workload

__all__ = ["CheckedData", "DataReport", "check"]

DECODE_SECONDS = 60.0
NUM_PREVIEWS = 3
"""Of each source."""

_CUT = "(only their last exchanges, which did not fit)"
_EMPTY = "with an empty answer"
_TOO_LONG = "longer than the model's context"

OnProgress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class CheckedData:
    """The report, and what memory and time are estimated from."""

    report: DataReport
    workload: Workload


@dataclass(slots=True)
class _Found:
    """What is collected of one source. Lengths are pairs (tokens, trained tokens)."""

    source: DataSource
    num_records: int
    record_faults: list[str]
    samples: Samples = field(default_factory=Samples)
    examples: list[Drawn] = field(default_factory=list)
    lengths: list[tuple[int, int]] = field(default_factory=list)
    held_out: list[tuple[int, int]] = field(default_factory=list)
    held_out_pictures: set[Path] = field(default_factory=set)
    num_picture_uses: int = 0
    num_held_out_uses: int = 0
    previews: list[SamplePreview] = field(default_factory=list)

    @property
    def pictures(self) -> list[Path]:
        return self.samples.pictures


def check(
    config: TrainingConfig,
    rendering: Rendering,
    *,
    num_previews: int = NUM_PREVIEWS,
    decode_seconds: float = DECODE_SECONDS,
    on_progress: OnProgress = lambda fraction: None,
) -> CheckedData:
    """Look through all sources. `rendering` is the run's (`BaseModel.rendering`). What is wrong with the data is told
    in the report and raises nothing."""
    found = [_read(source, config) for source in config.data]
    pictures = PictureCheck()
    files = [path for each in found for path in each.pictures]
    pictures.look_at(files, decode_seconds)
    num_examples, done = sum(len(each.examples) for each in found), 0
    for each in found:
        each.samples.broken = {path: why for path in each.pictures if (why := pictures.faults.get(path))}
        for drawn in each.examples:
            _take(each, config, rendering, drawn, num_previews)
            done += 1
            if done % 100 == 0:
                on_progress(done / num_examples)
    sources = tuple(_report([each], pictures, each.source) for each in found)
    total = _report(found, pictures, None)
    workload = Workload(
        samples=tuple(pair for each in found for pair in each.lengths),
        held_out=tuple(pair for each in found for pair in each.held_out),
        num_pictures=total.num_pictures,
        num_picture_uses=sum(each.num_picture_uses for each in found),
        num_held_out_uses=sum(each.num_held_out_uses for each in found),
    )
    report = DataReport(
        model=config.model,
        template=rendering.template.name,
        context_tokens=rendering.context_tokens,
        sources=sources,
        total=total,
        num_steps=workload.num_steps(config),
        stops=tuple(_stops(sources, total, pictures.num_judged(files) if pictures.too_many(files) else 0)),
        warnings=tuple(_warnings(config, total)),
        previews=tuple(preview for each in found for preview in each.previews),
    )
    return CheckedData(report, workload)


class _AnyPlace(PictureFolder):
    """A record is not bad because its picture's file is missing: that is counted by itself."""

    def ref(self, name: str) -> ImageRef:
        self.place(name)
        return ImageRef("0" * 64)


def _read(source: DataSource, config: TrainingConfig) -> _Found:
    file = Path(source.file)
    folder = _AnyPlace(Path(source.pictures) if source.pictures else file.parent)
    found = _Found(source, *faults(file, folder))
    if not found.record_faults:
        found.examples = list(reading.drawn(source, config, found.samples))
    return found


def _take(
    found: _Found, config: TrainingConfig, rendering: Rendering, drawn: Drawn, num_previews: int
) -> None:
    """Count one example; its sample is looked at and let go, since all together may be gigabytes."""
    samples = found.samples
    reading.add(samples, config, rendering, drawn)
    for made, lengths in ((samples.train, found.lengths), (samples.held_out, found.held_out)):
        if not made:
            continue
        sample = made.pop()
        lengths.append((len(sample.input_ids), sample.num_trained))
        files = [samples.pictures[place] for place in sample.pictures]
        is_held_out = lengths is found.held_out
        if is_held_out:
            samples.asked.clear()
            found.num_held_out_uses += len(files)
            found.held_out_pictures.update(files)
        else:
            found.num_picture_uses += len(files)
        if len(found.previews) < num_previews:
            found.previews.append(
                _preview(sample, rendering, files, found.source.file, drawn.number, is_held_out)
            )


def _preview(
    sample: Sample, rendering: Rendering, files: list[Path], source: str, record: int, held_out: bool
) -> SamplePreview:
    return preview_of(
        sample,
        rendering.tokenizer,
        files,
        image_token_id=rendering.image_token_id,
        num_patches=rendering.num_patches,
        source=source,
        record=record,
        held_out=held_out,
    )


def _report(found: list[_Found], pictures: PictureCheck, source: DataSource | None) -> SourceReport:
    """Of one source, or of several together; a picture that several name counts once."""
    files = list(dict.fromkeys(path for each in found for path in each.pictures))
    examples = [drawn.example for each in found for drawn in each.examples]
    record_faults = [sentence for each in found for sentence in each.record_faults]
    left_out: dict[str, int] = {}
    for each in found:
        for reason, count in each.samples.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    lengths = [num_tokens for each in found for num_tokens, _ in each.lengths]
    bins = [0] * (len(LENGTH_EDGES) + 1)
    for num_tokens in lengths:
        bins[length_bin(num_tokens)] += 1
    missing, broken = pictures.missing(files), pictures.broken(files)
    with_pictures = sum(bool(example.pictures) for example in examples)
    return SourceReport(
        file=source.file if source else "",
        pictures=(source.pictures or str(Path(source.file).parent)) if source else "",
        share=source.share if source else 1.0,
        num_records=sum(each.num_records for each in found),
        num_bad_records=len(record_faults),
        num_wrong_marks=sum(MARK in sentence for sentence in record_faults),
        record_faults=tuple(record_faults[:MAX_NAMED]),
        num_examples=len(examples),
        num_with_pictures=with_pictures,
        num_without_pictures=len(examples) - with_pictures,
        num_pictures=len(files),
        num_missing_pictures=len(missing),
        num_broken_pictures=len(broken),
        picture_faults=tuple(f"{path} {pictures.faults[path]}." for path in [*missing, *broken][:MAX_NAMED]),
        num_decoded_pictures=len(pictures.decoded.intersection(files)),
        num_empty_answers=left_out.get(_EMPTY, 0),
        num_cut=left_out.pop(_CUT, 0),
        num_too_long=left_out.get(_TOO_LONG, 0),
        left_out=left_out,
        num_samples=len(lengths),
        num_held_out=sum(len(each.held_out) for each in found),
        num_held_out_pictures=len({path for each in found for path in each.held_out_pictures}),
        lengths=tuple(bins),
        shortest=min(lengths, default=0),
        longest=max(lengths, default=0),
        num_tokens=sum(lengths),
        num_trained_tokens=sum(trained for each in found for _, trained in each.lengths),
    )


def _stops(sources: tuple[SourceReport, ...], total: SourceReport, too_many_of: int) -> Iterator[str]:
    """`too_many_of`: among how many pictures there are too many broken ones; 0 where there are not."""
    for source in sources:
        if source.num_bad_records:
            yield (
                f"{_counted(source.num_bad_records, 'record')} of {source.file} cannot be read, so nothing of it was "
                f"looked at further; correct them. The first: {source.record_faults[0]}"
            )
    if too_many_of:
        num_faults = total.num_missing_pictures + total.num_broken_pictures
        yield (
            f"{num_faults} of {too_many_of} pictures are missing or broken, more than "
            f"{MAX_BROKEN_SHARE:.0%}: name the right folder of pictures, or take their records out. The first: "
            f"{total.picture_faults[0]}"
        )
    if not total.num_samples and not total.num_bad_records:
        examples = _counted(total.num_examples, "example")
        yield f"There is nothing to train on: none of {examples} can be used; add others."


def _warnings(config: TrainingConfig, total: SourceReport) -> Iterator[str]:
    for reason, count in total.left_out.items():
        yield f"{_counted(count, 'example')} left out: {reason}."
    if total.num_cut:
        yield f"{_counted(total.num_cut, 'example')} too long, learned without the last exchanges."
    if total.num_samples and not total.num_held_out and config.held_out_share:
        yield "Nothing is held out: what the model learns cannot be measured on pictures that it was not shown."
    if (
        total.num_decoded_pictures + total.num_missing_pictures + total.num_broken_pictures
        < total.num_pictures
    ):
        yield (
            f"Only {total.num_decoded_pictures} of {total.num_pictures} pictures were decoded whole; of the others the "
            "beginning was looked at."
        )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
