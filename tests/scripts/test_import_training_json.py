"""The command keeps a whole file or nothing of it, and notices one that it has seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conversations.store import ConversationStore
from scripts import import_training_json
from tests.conversations.small_log import png


def row(value: str = "<image>\nWhat?", image: str | None = "a.png") -> dict:
    turns = [{"from": "human", "value": value}, {"from": "gpt", "value": "A cat."}]
    return {"id": "1", "conversations": turns} | ({} if image is None else {"image": image})


def run(tmp_path: Path, *rows: dict, flags: tuple[str, ...] = ()) -> int:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "images" / "a.png").write_bytes(png())
    (folder / "data.json").write_text(json.dumps(rows), encoding="utf-8")
    database = ["--database-url", f"sqlite:///{tmp_path}/log/chats.db"]
    return import_training_json.main([str(folder / "data.json"), "--owner", "ann", *database, *flags])


def kept(tmp_path: Path) -> list[str]:
    store = ConversationStore.open(f"sqlite:///{tmp_path}/log/chats.db", tmp_path / "log" / "pictures")
    try:
        return [summary.title for summary in store.recent("ann")]
    finally:
        store.close()


def test_a_file_comes_into_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, row(), row("Text only", None)) == 0
    assert kept(tmp_path) == ["Text only", "What?"]
    assert "2 of 2 records imported: 2 answers, 1 pictures" in capsys.readouterr().out


def test_the_same_file_again_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, row()) == 0
    assert run(tmp_path, row()) == 1
    assert "1 of ann's conversations are from this very file" in capsys.readouterr().err
    assert len(kept(tmp_path)) == 1
    assert run(tmp_path, row(), flags=("--again",)) == 0
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize(
    "bad",
    [
        row(image="../../x.png"),
        row(image="none.png"),
        {"conversations": []},
        row("a\0", None),
        row("<image> <image>"),
    ],
)
def test_nothing_is_kept_of_a_file_with_a_fault(
    bad: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, row(), bad, row()) == 1
    said = capsys.readouterr().err
    assert "data.json, record 2, " in said
    assert "1 faults. Nothing was imported." in said
    assert not (tmp_path / "log").exists()


def test_a_missing_file_or_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_training_json.main([str(tmp_path / "none.json"), "--owner", "ann"]) == 1
    assert "none.json" in capsys.readouterr().err
    assert run(tmp_path, row(), flags=("--images", str(tmp_path / "nowhere"))) == 1
    assert "nowhere" in capsys.readouterr().err
