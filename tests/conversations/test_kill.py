"""A page that is killed: what was committed is there, and what was half done is marked for what it is."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from conversations.filters import Filters
from conversations.store import ConversationStore
from tests.conversations.small_log import ROOT, database_url, open_store

NUM_WRITERS = 4
NUM_TURNS = 500
"""Questions and answers that all writers together would write if nobody killed them."""

WRITER = """
import sys, threading
from pathlib import Path
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome, AnswerSettings

store = ConversationStore.open(sys.argv[2], Path(sys.argv[1]) / "pictures")
settings = AnswerSettings("demo", "llava_v0", "", 0.2, 0.7, 64)
printing = threading.Lock()

def say(*words):
    with printing:
        print(*words, flush=True)

def talk(owner, num_questions):
    parent_id, conversation_id = None, store.create(owner).id
    for step in range(num_questions):
        question = store.add_question(owner, conversation_id, f"question {step}", parent_id=parent_id)
        say("question", owner, question.id)
        answer = store.start_answer(owner, question.id, settings)
        say("started", owner, answer.id)
        store.save_partial(answer.id, "half")
        say("partial", owner, answer.id)
        parent_id = store.finish_answer(answer.id, AnswerOutcome(f"answer {step}", "stop")).id
        say("finished", owner, answer.id)

writers = int(sys.argv[3])
for number in range(writers):
    threading.Thread(target=talk, args=(f"owner{number}", int(sys.argv[4]) // 2 // writers)).start()
"""


def test_kill_9_loses_no_committed_turn_and_leaves_no_half_one(backend: str, tmp_path: Path) -> None:
    num_lines = random.SystemRandom().randrange(20, 2 * NUM_TURNS)
    seen = killed_after(num_lines, tmp_path)
    store = open_store(tmp_path)
    assert store.recover() <= NUM_WRITERS
    lost = [
        f"{what} {turn_id}"
        for (owner, turn_id), what in seen.items()
        if not is_there(store, owner, turn_id, what)
    ]
    assert lost == [], f"killed after {num_lines} lines"
    broken = [owner for owner in {owner for owner, _ in seen} if not reads_whole(store, owner)]
    assert broken == [], f"killed after {num_lines} lines"
    # The library and the index of words agree with the turns, too.
    num_finished = sum(what == "finished" for what in seen.values())
    assert (
        num_finished
        <= store.curation.count(Filters(finish_reason="stop")).number
        <= num_finished + NUM_WRITERS
    )
    assert store.curation.count(Filters(finish_reason="running")).number == 0
    finished = [owner for (owner, _), what in seen.items() if what == "finished"]
    assert all(store.recent(owner, "answer 0") for owner in finished)
    store.close()


def killed_after(num_lines: int, folder: Path) -> dict[tuple[str, int], str]:
    """The last thing that was said of each turn, by owner and id, before the writers were killed."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), database_url(folder), str(NUM_WRITERS), str(NUM_TURNS)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(num_lines)]
        writer.kill()
        lines += [line for line in writer.stdout if line.endswith("\n")]
    assert len(lines) >= 20 and all(lines)
    seen: dict[tuple[str, int], str] = {}
    for line in lines:
        what, owner, turn_id = line.split()
        seen[owner, int(turn_id)] = what
    return seen


def is_there(store: ConversationStore, owner: str, turn_id: int, what: str) -> bool:
    """Whether a turn is at least as far as it was said to be."""
    texts = {"started": ("", "half", "answer"), "partial": ("half", "answer"), "finished": ("answer",)}
    turn = store.turn(owner, turn_id)
    if what == "question":
        return turn.role == "user" and turn.text.startswith("question")
    ended = turn.answer is not None and turn.answer.finish_reason in ("stop", "interrupted")
    return ended and turn.text.rstrip("0123456789 ") in texts[what]


def reads_whole(store: ConversationStore, owner: str) -> bool:
    """Whether every conversation is a path of parents without anything left running."""
    for summary in store.recent(owner):
        shown = store.load(owner, summary.id).shown
        if any(turn.answer is not None and turn.answer.finish_reason == "running" for turn in shown):
            return False
        if [turn.parent_id for turn in shown] != [None, *(turn.id for turn in shown[:-1])]:
            return False
    return True
