"""The log of a run, told piece by piece: nothing twice, nothing left out, no character in halves."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from app.training_request import Known
from app.training_watch import MAX_LOG_BYTES, CurveShelf, log_since

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=30)


@given(data=TEXTS.map(str.encode), cuts=st.lists(st.integers(0, 130), max_size=6))
def test_pieces_of_a_growing_log_are_together_the_log(data: bytes, cuts: list[int], tmp_path_factory) -> None:
    file = tmp_path_factory.mktemp("log") / "log.txt"
    known, text = 0, ""
    for end in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        file.write_bytes(data[:end])
        told = log_since(file, known)
        text = told["text"] if told["whole"] else text + told["text"]
        assert told["whole"] or told["from"] == known
        known = told["bytes"]
    assert text == data.decode() and known == len(data)


def test_of_a_long_log_the_end_is_told_from_the_beginning_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_text("".join(f"line {number:05}\n" for number in range(5_000)))
    told = log_since(file, 0)
    assert told["whole"] and told["text"].startswith("line ") and told["text"].endswith("line 04999\n")
    assert len(told["text"]) <= MAX_LOG_BYTES and told["bytes"] == file.stat().st_size
    assert log_since(file, told["bytes"]) == {"whole": False, "from": 55_000, "bytes": 55_000, "text": ""}


def test_a_log_that_is_shorter_than_it_was_is_told_anew_and_one_that_is_not_there_is_empty(
    tmp_path: Path,
) -> None:
    file = tmp_path / "log.txt"
    assert log_since(file, 7)["text"] == ""
    file.write_text("a\rb\r\n")
    assert log_since(file, 100) == {"whole": True, "from": 0, "bytes": 5, "text": "a\nb\n"}


def test_curves_of_runs_that_nobody_looks_at_are_let_go_and_read_again(tmp_path: Path) -> None:
    shelf = CurveShelf()
    files = [tmp_path / f"{number}.jsonl" for number in range(40)]
    for file in files:
        file.write_text('{"step": 1, "loss": 2.5}\n')
    known = Known("x", False, 0, 0, 0)
    for file in (*files, files[0]):
        assert shelf.since(file, known)["points"] == [{"step": 1, "loss": 2.5}]
