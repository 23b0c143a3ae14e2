"""The benchmark fills a log as it says, and measures every part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversations.filters import Filters
from conversations.store import ConversationStore
from scripts.bench_store import LIBRARY, main
from scripts.store_bench.made_up_log import fill


def test_a_small_run_measures_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--conversations", "60", "--rounds", "2", "--folder", str(tmp_path)])
    printed = capsys.readouterr().out
    for part in (
        "sidebar",
        "search, two words",
        "append: end",
        "Database: ",
        "Export to `llava`",
        "60 conversations",
        "reject all rated down",
        "questions were stored: p50",
        "near-duplicates among",
    ):
        assert part in printed
    for name in LIBRARY:
        assert f"library: {name}" in printed
    assert "peak memory" in printed


def test_the_log_has_as_many_turns_as_are_said(tmp_path: Path) -> None:
    store = ConversationStore.open(f"sqlite:///{tmp_path}/chats.db", tmp_path / "pictures")
    assert fill(store, 40) > 0
    assert store.curation.count(Filters()).number == 3 * 40
    assert store.backup.make(tmp_path / "backup").num_turns == 5 * 40
    assert fill(store, 40) == 0.0
    store.close()
