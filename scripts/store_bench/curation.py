"""What a reviewer does to many answers at once, on a large log: bulk actions, their undo, and near-duplicates.

No target stands over these: they are rare, and whoever starts one sees that it works. What counts is that those who
chat meanwhile hardly notice, so questions are asked all the while.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

from conversations.actions import Action
from conversations.filters import Filters
from conversations.store import ConversationStore

REVIEWER, TALKER = "user:reviewer", "user:talking-meanwhile"
SECONDS_BETWEEN_QUESTIONS = 0.05

_DOWN, _UP = Filters(rating="down"), Filters(rating="up")
DUPLICATES = {
    "everything": Filters(),
    "one model, with a picture": Filters(model="model-1", has_picture=True),
}


def print_curation(store: ConversationStore) -> None:
    """Two Markdown tables. What the bulk actions change they also take back."""
    asking = _Asking(store)
    print("\n| bulk action | answers | s | answers a second |\n|---|---|---|---|")
    with asking:
        rejected = _bulk(
            "reject all rated down", lambda: store.curation.set_states(REVIEWER, _DOWN, "rejected")
        )
        _bulk("undo of that", lambda: store.curation.undo(REVIEWER, rejected.id))
        tagged = _bulk("tag all rated up", lambda: store.curation.add_tag(REVIEWER, _UP, "good"))
        _bulk("undo of that", lambda: store.curation.undo(REVIEWER, tagged.id))
    print(
        f"\n{asking.told}\n\n| near-duplicates among the newest 20,000 of | groups shown | s |\n|---|---|---|"
    )
    for name, filters in DUPLICATES.items():
        began = time.perf_counter()
        groups = store.curation.duplicates(filters)
        print(f"| {name} | {len(groups)} | {time.perf_counter() - began:.1f} |", flush=True)


def _bulk(name: str, do: Callable[[], Action]) -> Action:
    began = time.perf_counter()
    action = do()
    seconds = time.perf_counter() - began
    rate = action.num_answers / seconds
    print(f"| {name} | {action.num_answers:,} | {seconds:.1f} | {rate:,.0f} |", flush=True)
    return action


class _Asking:
    """Somebody who asks a question twenty times a second, in a thread of its own, for as long as the block lasts."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._waited_ms: list[float] = []

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def told(self) -> str:
        waited = sorted(self._waited_ms)
        p95 = waited[-(-len(waited) * 95 // 100) - 1]
        return (
            f"Meanwhile {len(waited):,} questions were stored: p50 {statistics.median(waited):.1f} ms,"
            f" p95 {p95:.1f} ms, the longest {waited[-1]:.1f} ms."
        )

    def _ask(self) -> None:
        while True:
            conversation_id = self._store.create(TALKER).id
            began = time.perf_counter()
            self._store.add_question(TALKER, conversation_id, "w7 w8?")
            self._waited_ms.append(1000 * (time.perf_counter() - began))
            if self._over.wait(SECONDS_BETWEEN_QUESTIONS):
                return
