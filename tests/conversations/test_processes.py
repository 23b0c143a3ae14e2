"""Several page processes on one database: none loses, doubles or mixes up what another one writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conversations import log_reader
from conversations.filters import Filters
from conversations.store import ConversationStore
from tests.conversations.small_log import ROOT, answered, asked, database_url, open_store, texts

PAGE = """
import sys
from pathlib import Path
from conversations.filters import Filters
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome, AnswerSettings

store = ConversationStore.open(sys.argv[2], Path(sys.argv[1]) / "pictures")
settings = AnswerSettings("demo", "llava_v0", "", 0.2, 0.7, 64)
who = sys.argv[3]
conversation_id, parent_id = store.create(who).id, None
for step in range(10):
    question = store.add_question(who, conversation_id, f"{who} asks {step}", parent_id=parent_id)
    answer = store.start_answer(who, question.id, settings)
    parent_id = store.finish_answer(answer.id, AnswerOutcome(f"{who} hears {step}", "stop")).id
    store.curation.add_tag(who, Filters(owner=who), f"step {step}")
    store.curation.add_tag(who, Filters(), "seen")
    store.curation.set_states(who, Filters(state="pending"), "approved")
    undone = store.curation.add_tag(who, Filters(), f"by {who}")
    store.curation.undo(who, undone.id)
store.recover()
store.close()
"""


def test_pages_that_write_at_once_keep_everything(backend: str, tmp_path: Path) -> None:
    url = database_url(tmp_path)
    command = [sys.executable, "-c", PAGE, str(tmp_path), url]
    pages = [subprocess.Popen([*command, f"page{number}"], cwd=ROOT) for number in range(3)]
    assert [page.wait(timeout=400) for page in pages] == [0, 0, 0]
    store = open_store(tmp_path)
    for number in range(3):
        who = f"page{number}"
        (summary,) = store.recent(who)
        expected = [text for step in range(10) for text in (f"{who} asks {step}", f"{who} hears {step}")]
        assert texts(store, summary.id, who) == expected
        assert store.curation.count(Filters(owner=who, state="approved", tag="step 9")).number == 10
        assert len(store.recent(who, f"{who} hears 7")) == 1
    assert store.curation.count(Filters()).number == 30
    assert store.curation.count(Filters(tag="seen")).number == 30
    assert not any(tag.startswith("by ") for tag in store.curation.tags())
    store.close()


def test_an_export_sees_one_state_of_the_log(
    store: ConversationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "CHUNK", 1)
    for number in range(3):
        answered(store, asked(store, f"q{number}"))
    reading = store.reader.conversations(Filters())
    first = next(reading)
    other = open_store(tmp_path)
    answered(other, asked(other, "written meanwhile"))
    for conversation_id in [summary.id for summary in other.recent("ann")]:
        other.delete("ann", conversation_id)
    seen = [first, *reading]
    assert [conversation.turns[0].text for conversation in seen] == ["q0", "q1", "q2"]
    assert [len(conversation.turns) for conversation in seen] == [2, 2, 2]
    other.close()
