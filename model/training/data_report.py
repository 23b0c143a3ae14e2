"""What a look through the training data found, as check.json holds it and the Training tab shows it. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from model.training.estimate import Estimate
from model.training.preview import SamplePreview

LENGTH_EDGES = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192)
"""Tokens; a sample of T tokens is counted in the first bin whose edge is at least T, the last bin has no edge."""

MAX_NAMED = 20
"""Records and pictures that are named one by one; the rest are counted."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Of one source, or of all together (then `file` is ""). Examples are records after `share`; samples are what is
    trained on once. Tokens are those of one epoch."""

    file: str = ""
    pictures: str = ""  # the folder
    share: float = 1.0
    num_records: int = 0
    num_bad_records: int = 0  # of the first 20 at most: the file is read no further
    num_wrong_marks: int = 0  # of those, records whose `<image>` marks do not match their pictures
    record_faults: tuple[str, ...] = ()  # a sentence each, with file, record and field
    num_examples: int = 0
    num_with_pictures: int = 0
    num_without_pictures: int = 0
    num_pictures: int = 0  # distinct files
    num_missing_pictures: int = 0
    num_broken_pictures: int = 0
    picture_faults: tuple[str, ...] = ()  # the first 20, a sentence each
    num_decoded_pictures: int = 0  # decoded whole; of the others only the file's structure was looked at
    num_empty_answers: int = 0  # examples left out because an answer is empty
    num_cut: int = 0  # examples without their last exchanges, which did not fit
    num_too_long: int = 0  # examples left out because not even their first exchange fits
    left_out: Mapping[str, int] = field(default_factory=dict)  # examples by the reason, in words
    num_samples: int = 0
    num_held_out: int = 0
    num_held_out_pictures: int = 0
    lengths: tuple[int, ...] = ()  # samples by length, LENGTH_EDGES and one more
    shortest: int = 0  # tokens
    longest: int = 0
    num_tokens: int = 0  # read
    num_trained_tokens: int = 0


@dataclass(frozen=True, slots=True)
class DataReport:
    """`stops` are the reasons why the run must not start, `warnings` what a person should know; sentences, all."""

    model: str = ""
    template: str = ""
    context_tokens: int = 0  # the longest sample that is learned from
    sources: tuple[SourceReport, ...] = ()
    total: SourceReport = field(default_factory=SourceReport)
    num_steps: int = 0
    stops: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    previews: tuple[SamplePreview, ...] = ()
    estimate: Estimate | None = None  # None where the data was not whole enough to count with
    length_edges: tuple[int, ...] = LENGTH_EDGES

    @property
    def may_start(self) -> bool:
        return not self.stops

    def changed(self, **changes: Any) -> DataReport:
        return replace(self, **changes)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DataReport:
        """What a newer or an older program wrote is read as far as it is known. Raises ValueError for what is none."""
        try:
            values = json.loads(text)
            return cls(
                **_known(
                    cls,
                    values,
                    sources=tuple(_source(each) for each in values["sources"]),
                    total=_source(values["total"]),
                    previews=tuple(SamplePreview.from_dict(each) for each in values["previews"]),
                    estimate=Estimate.from_dict(values["estimate"]) if values["estimate"] else None,
                )
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"no report: {text[:60]!r}") from error


def length_bin(num_tokens: int) -> int:
    """The place in `lengths` where a sample of so many tokens is counted."""
    return sum(num_tokens > edge for edge in LENGTH_EDGES)


def _source(values: Mapping[str, Any]) -> SourceReport:
    return SourceReport(**_known(SourceReport, values, left_out=dict(values["left_out"])))


def _known(kind: type, values: Mapping[str, Any], **made: Any) -> dict[str, Any]:
    """The fields that this program knows, lists as the tuples that they were."""
    names = {each.name for each in fields(kind)}
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return {name: value for name, value in {**plain, **made}.items() if name in names}
