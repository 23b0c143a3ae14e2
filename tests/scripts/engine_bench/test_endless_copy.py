"""The copy answers exactly as long as it is asked to, and its source is left alone."""

from __future__ import annotations

from pathlib import Path

from model import checkpoint
from model.engine.end_of_sequence import end_of_sequence_ids
from scripts.engine_bench.endless_copy import write_endless_copy
from tests.model.tiny import write_tiny_checkpoint


def test_nothing_ends_an_answer_of_the_copy(tmp_path: Path) -> None:
    source = write_tiny_checkpoint(tmp_path / "source")
    copy = write_endless_copy(source, tmp_path / "copy")
    assert end_of_sequence_ids(checkpoint.load(source)) != frozenset()
    assert end_of_sequence_ids(checkpoint.load(copy)) == frozenset()
