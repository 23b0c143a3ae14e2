"""The script's own part: what it prints, where it puts pictures, and its refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversations.store import ConversationStore
from scripts.backup_store import main
from tests.conversations.small_log import asked


def test_a_copy_is_made_beside_a_running_page_and_put_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ConversationStore.open(f"sqlite:///{tmp_path}/chats.db", tmp_path / "pictures")
    question = asked(page)
    backup = str(tmp_path / "backup")
    assert main(["--database-url", f"sqlite:///{tmp_path}/chats.db", "--out", backup]) == 0
    assert "1 conversations, 1 turns, 0 pictures" in capsys.readouterr().out
    page.close()
    assert main(["--database-url", f"sqlite:///{tmp_path}/new/chats.db", "--restore", backup]) == 0
    again = ConversationStore.open(f"sqlite:///{tmp_path}/new/chats.db", tmp_path / "new" / "pictures")
    assert again.load("ann", question.conversation_id).title == "What is it?"
    again.close()


def test_a_mistyped_database_is_named_and_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--database-url", f"sqlite:///{tmp_path}/none.db", "--out", str(tmp_path / "backup")]) == 1
    assert "There is no database" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = ConversationStore.open(f"sqlite:///{tmp_path}/chats.db", tmp_path / "pictures")
    asked(page)
    page.close()
    url, backup = f"sqlite:///{tmp_path}/chats.db", str(tmp_path / "backup")
    assert main(["--database-url", url, "--out", backup]) == 0
    assert main(["--database-url", url, "--out", backup]) == 1
    assert main(["--database-url", url, "--restore", backup]) == 1
    assert capsys.readouterr().err.count("already") == 2
