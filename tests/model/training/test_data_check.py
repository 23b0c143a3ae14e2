"""The check finds what is wrong with the data, and otherwise counts exactly what the run's own reader reads."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from model.training.config import DataSource, TrainingConfig
from model.training.data_check import DataReport, check
from model.training.errors import UnusableData
from model.training.picture_check import PictureCheck
from model.training.samples import read
from tests.model.training.data_sets import colours, config_of, record, rendering, write

NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
"""An example writes and reads files: a smaller one is not worth minutes."""


def report_of(config: TrainingConfig, **options: int) -> DataReport:
    return check(config, rendering(config, **options)).report


# --- the same as the run ----------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None, phases=NO_SHRINKING)
@given(
    share=st.sampled_from([0.3, 1.0, 1.7]),
    seed=st.integers(0, 99),
    held_out=st.sampled_from([0.0, 0.3]),
    answers=st.lists(st.sampled_from(["", " ", "Yes.", "No, " * 20]), min_size=1, max_size=6),
    context=st.sampled_from([240, 2048]),
)
def test_it_counts_what_the_runs_reader_reads(
    share: float, seed: int, held_out: float, answers: list[str], context: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asked = [record(f"t{i}", [("Is it so?", answer)] * 2) for i, answer in enumerate(answers)]
        first = write(Path(folder), [*colours(0, 6), *asked], "first.json")
        second = write(Path(folder), colours(4, 5), "second.json")
        config = config_of(first, DataSource(str(second), share=share), seed=seed, held_out_share=held_out)
        made = rendering(config, context)
        total = check(config, made).report.total
        try:
            read_too = read(config, made)
        except UnusableData:
            assert total.num_samples == 0
            return
        assert total.num_samples == len(read_too.train)
        assert total.num_held_out == len(read_too.held_out)
        assert total.num_tokens == sum(len(sample.input_ids) for sample in read_too.train)
        assert total.num_trained_tokens == sum(sample.num_trained for sample in read_too.train)
        assert total.num_pictures == len(read_too.pictures)
        assert total.num_cut + sum(total.left_out.values()) == sum(read_too.left_out.values())


def test_sources_are_told_one_by_one_and_a_shared_picture_counts_once(tmp_path: Path) -> None:
    first = write(tmp_path, colours(0, 8), "first.json")
    second = write(tmp_path, [*colours(6, 4), record("t", [("Hi", "Hello")])], "second.json")
    config = config_of(first, DataSource(str(second), share=2.0), held_out_share=0.0)
    report = report_of(config)
    assert [source.num_records for source in report.sources] == [8, 5]
    assert [source.num_examples for source in report.sources] == [8, 10]
    assert [source.num_pictures for source in report.sources] == [8, 4]
    assert report.total.num_pictures == 10
    assert (report.total.num_with_pictures, report.total.num_without_pictures) == (16, 2)
    assert report.may_start


def test_held_out_examples_and_their_pictures_are_counted(tmp_path: Path) -> None:
    twice = [*colours(0, 20), *colours(0, 20)]
    config = config_of(write(tmp_path, twice), held_out_share=0.3)
    total = report_of(config).total
    assert 0 < total.num_held_out_pictures < 20
    assert total.num_held_out == 2 * total.num_held_out_pictures
    assert total.num_samples == 40 - total.num_held_out


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_pictures", "may_start"), [(199, False), (200, True)])
def test_more_than_one_picture_in_a_hundred_missing_or_broken_stops_the_run(
    tmp_path: Path, num_pictures: int, may_start: bool
) -> None:
    config = config_of(write(tmp_path, colours(0, num_pictures)))
    (tmp_path / "7.png").unlink()
    (tmp_path / "9.png").write_bytes(b"no picture")
    report = report_of(config)
    assert report.may_start == may_start
    assert (report.total.num_missing_pictures, report.total.num_broken_pictures) == (1, 1)
    assert "7.png is missing" in report.total.picture_faults[0]
    assert "9.png cannot be read" in report.total.picture_faults[1]
    assert any("more than 1%" in sentence and "7.png" in sentence for sentence in report.stops) != may_start
    assert report.total.left_out == {"with a missing or broken picture": 2}


def test_only_the_first_twenty_pictures_are_named_and_all_are_counted(tmp_path: Path) -> None:
    report = report_of(config_of(write(tmp_path, colours(0, 30), draw=False)))
    assert report.total.num_missing_pictures == 30
    assert len(report.total.picture_faults) == 20


def test_a_picture_that_was_cut_off_is_found_by_decoding_it_whole(tmp_path: Path) -> None:
    file = write(tmp_path, [record("a", [("What?", "This.")], "a.jpg"), *colours(0, 3)])
    noise = Image.effect_noise((300, 300), 90).convert("RGB")
    noise.save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:9000])
    config = config_of(file)
    found = check(config, rendering(config)).report.total
    assert "a.jpg cannot be read" in found.picture_faults[0]
    assert found.num_decoded_pictures == 4
    in_no_time = check(config, rendering(config), decode_seconds=0).report
    assert in_no_time.total.num_broken_pictures == 0
    assert any("decoded whole" in sentence for sentence in in_no_time.warnings)


def test_a_missing_one_and_one_that_only_decoding_shows_broken_are_two(tmp_path: Path) -> None:
    """As the run counts them, whether it keeps features or not (test_faults.py)."""
    file = write(tmp_path, [record("a", [("What?", "This.")], "a.jpg"), *colours(0, 11)])
    Image.effect_noise((64, 64), 90).convert("RGB").save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-900])
    (tmp_path / "0.png").unlink()
    report = report_of(config_of(file))
    assert report.stops[0].startswith("2 of 12 pictures are missing or broken, more than 1%")


@pytest.mark.parametrize(
    ("num_missing", "num_found", "num_decoded", "is_too_many"),
    [
        (0, 0, 1000, False), (1, 0, 0, False), (10, 0, 100, False), (11, 0, 0, True), (9, 1, 991, False),
        (10, 1, 990, True), (0, 3, 300, False), (0, 3, 299, True), (0, 1, 10, False), (1, 1, 10, False),
    ],
)  # fmt: skip
def test_the_one_percent_is_of_all_and_counted_as_far_as_they_were_decoded(
    num_missing: int, num_found: int, num_decoded: int, is_too_many: bool
) -> None:
    paths = [Path(str(number)) for number in range(1000)]
    missing, whole = paths[:num_missing], paths[num_missing:]
    faults = dict.fromkeys([*missing, *whole[:num_found]], "cannot be read")
    found = PictureCheck(faults, set(whole[:num_decoded]))
    assert found.too_many(paths * 2) is is_too_many


def test_bad_records_are_named_by_number_and_field_all_at_once(tmp_path: Path) -> None:
    bad = [
        *colours(0, 1),
        record("two", [("What?", "This.")], "0.png", marks=2),
        {"id": "three", "conversations": [{"from": "human", "value": "alone"}]},
        record("four", [("What?", "This.")], "../outside.png"),
    ]
    report = report_of(config_of(write(tmp_path, bad, draw=False)))
    faults = report.total.record_faults
    assert [f"record {number}," in fault for number, fault in zip((2, 3, 4), faults, strict=True)] == [
        True
    ] * 3
    assert "conversations[0].value" in faults[0] and "leads out" in faults[2]
    assert (report.total.num_records, report.total.num_bad_records, report.total.num_wrong_marks) == (4, 3, 1)
    assert not report.may_start and "3 records" in report.stops[0]


def test_empty_answers_are_counted_and_left_out(tmp_path: Path) -> None:
    empty = [record(f"e{place}", [("What?", " ")], f"{place}.png") for place in range(3)]
    report = report_of(config_of(write(tmp_path, [*colours(0, 5), *empty]), held_out_share=0.0))
    assert report.total.num_empty_answers == 3
    assert report.total.num_samples == 5
    assert any("3 examples left out: with an empty answer" in sentence for sentence in report.warnings)


def test_samples_that_are_too_long_are_cut_or_left_out(tmp_path: Path) -> None:
    long = "word " * 60
    records = [
        record("whole", [("A", "B")]),
        record("cut", [("A", "B"), ("A", long)]),
        record("out", [(long, "B")]),
    ]
    config = config_of(write(tmp_path, records), held_out_share=0.0)
    total = report_of(config, context_tokens=220).total
    assert (total.num_samples, total.num_cut, total.num_too_long) == (2, 1, 1)
    assert total.longest <= 220


def test_nothing_to_train_on_stops_the_run(tmp_path: Path) -> None:
    report = report_of(config_of(write(tmp_path, [record("e", [("What?", "")])])))
    assert not report.may_start
    assert "nothing to train on" in report.stops[0]
    gone = report_of(config_of(tmp_path / "gone.json"))
    assert not gone.may_start and "gone.json" in gone.stops[0]


# --- the report -------------------------------------------------------------------------------------------------------


def test_lengths_are_counted_in_fixed_bins(tmp_path: Path) -> None:
    records = [record(str(n), [("A", "x" * n)]) for n in (1, 2, 300)]
    config = config_of(write(tmp_path, records), held_out_share=0.0)
    report = report_of(config)
    lengths, edges = report.total.lengths, report.length_edges
    assert sum(lengths) == 3 and len(lengths) == len(edges) + 1
    for length in (report.total.shortest, report.total.longest):
        place = next(place for place, edge in enumerate(edges) if length <= edge)
        assert lengths[place] > 0
    assert report.total.shortest < report.total.longest


def test_a_report_comes_back_from_its_json(tmp_path: Path) -> None:
    config = config_of(write(tmp_path, [*colours(0, 4), record("e", [("What?", "")])]))
    report = report_of(config)
    assert report.previews
    assert DataReport.from_json(report.to_json()) == report
    assert DataReport.from_json(report.to_json().replace('"model"', '"new": [1], "model"', 1)) == report


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sources": 3}', '{"sources": [], "total": {}}', "nul"])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        DataReport.from_json(text)
