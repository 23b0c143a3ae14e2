"""How fast is the log when it is large? python -m scripts.bench_store [--conversations 200000] [--folder DIR]

Fills a new database with made-up conversations (five turns each: 200,000 are a million messages) through the same
door as an import, then measures what a person waits for: a page of the sidebar, a search, a page of the library, the
parts of a turn; and bulk actions and near-duplicates, which have no target. The export runs in a process of its own,
so that its memory is its own. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from conversations.export import export
from conversations.filters import Filters
from conversations.formats import DEFAULT_FORMAT, FORMATS
from conversations.review import Item
from conversations.selection import Selection
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome, AnswerSettings
from scripts.store_bench.curation import print_curation
from scripts.store_bench.made_up_log import FAVOURITE, NUM_PEOPLE, fill

SETTINGS = AnswerSettings("model-0", "vicuna_v1", "Be brief.", 0.2, 0.7, 512)
TARGETS_MS = {"sidebar": 50.0, "search": 200.0, "library": 50.0, "append": 50.0}
MIN_EXPORT_RATE = 5000.0
MAX_EXPORT_MEMORY_MB = 400.0

Calls = Iterator[Callable[[], object]]
Taken = tuple[float, float]
"""Milliseconds that a person waited, and that the processor worked: the same on a machine with nothing else to do."""

LIBRARY = {
    "everything": Filters(),
    "rated down": Filters(rating="down"),
    "made up": Filters(reason="made_up"),
    "approved": Filters(state="approved"),
    "pending, with a picture": Filters(state="pending", has_picture=True),
    "one model, rated up": Filters(model="model-1", rating="up"),
    "corrected": Filters(corrected=True),
    "failed": Filters(finish_reason="failed"),
    "stopped and corrected": Filters(finish_reason="stopped", corrected=True),
    "a month": Filters(since=datetime(2025, 3, 1, tzinfo=UTC), until=datetime(2025, 4, 1, tzinfo=UTC)),
    "a tag of conversations": Filters(tag="kitchen"),
    "a rare word": Filters(text="w19000"),
    "one person's own": Filters(owner="user:3"),
    "the busiest person's own": Filters(owner=FAVOURITE),
    "nothing has all of this": Filters(model="model-9", rating="down", state="rejected", corrected=True),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 where every target is met, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("?")[0] + "?")
    parser.add_argument("--conversations", type=int, default=200_000, help="how many to make up")
    parser.add_argument("--folder", type=Path, help="keep the database here, or take up the one that is")
    parser.add_argument("--database-url", help="another database than SQLite's; it should be empty")
    parser.add_argument("--rounds", type=int, default=200, help="of each measurement")
    parser.add_argument("--export-to", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.conversations < 1 or arguments.rounds < 1:
        parser.error("--conversations and --rounds are at least 1")
    with tempfile.TemporaryDirectory(prefix="bench_store.") as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        url = arguments.database_url or f"sqlite:///{folder / 'chats.db'}"
        if arguments.export_to is not None:
            return _measure_export(url, folder, arguments.export_to)
        return _measure(url, folder, arguments.conversations, arguments.rounds)


def _measure(url: str, folder: Path, num_conversations: int, rounds: int) -> int:
    store = ConversationStore.open(url, folder / "pictures")
    try:
        seconds = fill(store, num_conversations)
        num_answers = store.curation.count(Filters(), cap=10**9).number  # three a conversation
        print(f"# The log with {num_answers // 3:,} conversations\n\n{_machine()}\n")
        print(f"Filled in {seconds:.0f} s.\n" if seconds else "Filled before.\n")
        print("| what | p50 ms | p95 ms | processor p95 ms | target ms |\n|---|---|---|---|---|")
        good = [
            _timed(name, calls, rounds if target == "search" else max(20, rounds // 5), TARGETS_MS[target])
            for name, calls, target in _questions(store)
        ]
        good += _appends(store, rounds)
        print_curation(store)
        print(f"\n{_sizes(store, url, folder)}\n")
    finally:
        store.close()
    return 0 if all([*good, _export_apart(url, folder)]) else 1


def _timed(name: str, calls: Calls, rounds: int, target_ms: float) -> bool:
    times: list[Taken] = []
    for call in itertools.islice(calls, rounds):
        with _taking(times):
            call()
    return _row(name, times, target_ms)


@contextmanager
def _taking(times: list[Taken]) -> Iterator[None]:
    clock, processor = time.perf_counter(), time.thread_time()
    yield
    times.append((1000 * (time.perf_counter() - clock), 1000 * (time.thread_time() - processor)))


def _row(name: str, times: list[Taken], target_ms: float) -> bool:
    waited, worked = (sorted(some) for some in zip(*times, strict=True))
    p95 = -(-len(times) * 95 // 100) - 1
    numbers = (statistics.median(waited), waited[p95], worked[p95])
    print(f"| {name} | {' | '.join(f'{each:.1f}' for each in numbers)} | {target_ms:.0f} |", flush=True)
    return waited[p95] <= target_ms


def _questions(store: ConversationStore) -> Iterator[tuple[str, Calls, str]]:
    yield "page of the sidebar", _sidebar(store), "sidebar"
    yield "search, one frequent word", _searches(store, range(0, 50), 1), "search"
    yield "search, one rare word", _searches(store, range(2000, 19_000), 1), "search"
    yield "search, two words", _searches(store, range(0, 3000), 2), "search"
    for name, filters in LIBRARY.items():
        yield f"library: {name}", _library(store, filters), "library"
    yield "library: a count, up to 10,000", _counts(store), "library"


def _sidebar(store: ConversationStore) -> Calls:
    chance = random.Random(1)
    while True:
        owner = FAVOURITE if chance.random() < 0.5 else f"user:{chance.randrange(NUM_PEOPLE)}"
        yield partial(store.recent, owner, limit=50)


def _searches(store: ConversationStore, words: range, number: int) -> Calls:
    chance = random.Random(2)
    while True:
        typed = " ".join(f"w{chance.choice(words)}" for _ in range(number))
        yield partial(store.recent, FAVOURITE, typed, limit=50)


def _library(store: ConversationStore, filters: Filters) -> Calls:
    """Page after page, and from the top again."""
    page: list[Item] = []

    def turn_over() -> None:
        after = page[-1].place if page and chance.random() < 0.8 else None
        page[:] = store.curation.page(filters, after, 50)

    chance = random.Random(3)
    while True:
        yield turn_over


def _counts(store: ConversationStore) -> Calls:
    for filters in itertools.cycle(LIBRARY.values()):
        yield partial(store.curation.count, filters)


def _appends(store: ConversationStore, rounds: int) -> list[bool]:
    """A turn in a conversation that grows: the question, the answer's start, a part of it, its end."""
    times: dict[str, list[Taken]] = {"question": [], "start": [], "part": [], "end": []}
    parent_id: int | None = None
    conversation_id, text, talker = "", "w1 w2 w3 " * 30, "user:talking"
    for number in range(rounds):
        if number % 10 == 0:
            conversation_id, parent_id = store.create(talker).id, None
        with _taking(times["question"]):
            question = store.add_question(talker, conversation_id, "w7 w8?", parent_id=parent_id)
        with _taking(times["start"]):
            answer = store.start_answer(talker, question.id, SETTINGS)
        with _taking(times["part"]):
            store.save_partial(answer.id, text[:100])
        with _taking(times["end"]):
            parent_id = store.finish_answer(answer.id, AnswerOutcome(text, "stop")).id
    return [_row(f"append: {name}", some, TARGETS_MS["append"]) for name, some in times.items()]


def _export_apart(url: str, folder: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix=".export.", dir=folder) as out:
        command = [
            sys.executable,
            "-m",
            "scripts.bench_store",
            "--folder",
            str(folder),
            "--database-url",
            url,
        ]
        done = subprocess.run(
            [*command, "--export-to", f"{out}/llava"],
            cwd=Path(__file__).resolve().parent.parent,
            stdout=subprocess.PIPE,
            check=True,
        )
    measured = json.loads(done.stdout)
    print(
        f"Export to `{DEFAULT_FORMAT}` with masks, pictures linked: {measured['conversations']:,} conversations in"
        f" {measured['seconds']:.1f} s, {measured['rate']:,.0f} a second (target {MIN_EXPORT_RATE:,.0f};"
        f" {measured['processor_rate']:,.0f} a second of the processor's, imports included),"
        f" {measured['rows']:,} rows, {measured['pictures']:,} pictures; peak memory {measured['memory_mb']:.0f} MB"
        f" above imports (target {MAX_EXPORT_MEMORY_MB:.0f})."
    )
    return bool(measured["rate"] >= MIN_EXPORT_RATE and measured["memory_mb"] <= MAX_EXPORT_MEMORY_MB)


def _measure_export(url: str, folder: Path, out: Path) -> int:
    imported = _peak_memory_mb()
    store = ConversationStore.open(url, folder / "pictures")
    selection = Selection(validation=0.05, test=0.05)
    began = time.perf_counter()
    with closing(store.reader.conversations(selection.filters)) as conversations:
        manifest = export(conversations, store.images, out, FORMATS[DEFAULT_FORMAT], selection)
    seconds = time.perf_counter() - began
    store.close()
    memory_mb = _peak_memory_mb() - imported
    counts = manifest.counts
    measured = {
        "seconds": seconds,
        "conversations": counts["conversations"],
        "rate": counts["conversations"] / seconds,
        "processor_rate": counts["conversations"] / time.process_time(),
        "rows": sum(counts["rows"].values()),
        "pictures": counts["pictures"],
        "memory_mb": memory_mb,
    }
    print(json.dumps(measured))
    return 0


def _peak_memory_mb() -> float:
    """Of this process alone: Linux adds to getrusage what the process was that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _sizes(store: ConversationStore, url: str, folder: Path) -> str:
    pictures = [path.stat().st_size for path in (folder / "pictures").rglob("*.jpg")]
    said = f"{len(pictures):,} pictures of {sum(pictures) / 1e6:,.0f} MB"
    if url.startswith("sqlite"):
        database = sum(path.stat().st_size for path in folder.glob("chats.db*"))
    else:
        with store._database.reading() as session:
            asked = session.connection().exec_driver_sql("SELECT pg_database_size(current_database())")
            database = asked.scalar_one()
    return f"Database: {database / 1e6:,.0f} MB; {said}."


def _machine() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{model or platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, {platform.system()},"
        f" Python {platform.python_version()}; load {load:.1f} when the measurement began."
    )


if __name__ == "__main__":
    sys.exit(main())
