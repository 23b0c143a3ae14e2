"""A log of any size, made up from one seed: what it holds is as varied as what the program's filters ask for."""

from __future__ import annotations

import io
import itertools
import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from PIL import Image

from conversations.filters import Filters
from conversations.messages import ImageRef
from conversations.store import ConversationStore
from conversations.turns import FinishReason, Rating
from conversations.whole import UNKNOWN_ANSWER, WholeConversation, WholeTurn

BATCH = 1000
NUM_WORDS = 20_000
FAVOURITE = "user:busy"
"""Half of all conversations are this person's, so that their sidebar is the worst case."""

NUM_PEOPLE = 500
NUM_POPULAR, SHARE_POPULAR = 20, 0.02
"""Pictures about which the same is asked again and again, and the share of conversations that do so."""

_ENDS: tuple[FinishReason, ...] = ("stop", "length", "stopped", "failed")


def fill(store: ConversationStore, num_conversations: int) -> float:
    """Seconds it took; 0 where the database was filled before."""
    if store.curation.count(Filters(), cap=1).number:
        return 0.0
    began = time.perf_counter()
    chance = random.Random(0)
    pictures = [store.images.add(_picture(chance)) for _ in range(max(1, num_conversations // 10))]
    words = [f"w{number}" for number in range(NUM_WORDS)]
    weights = list(itertools.accumulate(1 / (rank + 5) for rank in range(NUM_WORDS)))
    newest = datetime.now(UTC) - timedelta(days=1)
    first = datetime(2025, 1, 1, tzinfo=UTC)
    popular = pictures[:NUM_POPULAR]
    asked = [" ".join(chance.choices(words, k=12)) for _ in popular]
    made = 0
    while made < num_conversations:
        number = min(BATCH // 2, num_conversations - made)
        owner = FAVOURITE if (made // number) % 2 == 0 else f"user:{chance.randrange(NUM_PEOPLE)}"
        batch = []
        for place in range(number):
            begun = first + (newest - first) * ((made + place) / num_conversations)
            made_up = _conversation(chance, words, weights, pictures, begun)
            if chance.random() < SHARE_POPULAR:
                about = chance.randrange(len(popular))
                first_turn = replace(made_up.turns[0], text=asked[about], images=(popular[about],))
                made_up = replace(made_up, turns=(first_turn, *made_up.turns[1:]))
            batch.append(made_up)
        store.exchange.add(owner, batch)
        made += number
    return time.perf_counter() - began


def _picture(chance: random.Random) -> bytes:
    """96 x 96, of a few large cells: as different from each other as photos are."""
    image = Image.frombytes("RGB", (6, 6), chance.randbytes(108)).resize((96, 96))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def _conversation(
    chance: random.Random, words: list[str], weights: list[float], pictures: list[ImageRef], begun: datetime
) -> WholeConversation:
    """A question with a picture, its answer, a follow-up with its answer, and a retried answer: five turns."""

    def text(length: int) -> str:
        said = " ".join(chance.choices(words, cum_weights=weights, k=length))
        return f"{said} ann{chance.randrange(99)}@example.org" if chance.random() < 0.01 else said

    def answer(parent: int, after_seconds: int, *, shown: bool = True) -> WholeTurn:
        rating: Rating | None = chance.choices((None, "up", "down"), (90, 6, 4))[0]
        end: FinishReason = chance.choices(_ENDS, (94, 2, 2, 2))[0]
        return WholeTurn(
            parent,
            "assistant",
            text(40),
            created_at=begun + timedelta(seconds=after_seconds),
            is_shown=shown,
            answer=replace(UNKNOWN_ANSWER, model=f"model-{chance.randrange(4)}", finish_reason=end),
            rating=rating,
            reasons=(chance.choice(("wrong", "made_up", "incomplete")),) if rating == "down" else (),
            correction=text(30) if rating == "down" and chance.random() < 0.5 else None,
        )

    images = (chance.choice(pictures),) if chance.random() < 0.7 else ()
    return WholeConversation(
        (
            WholeTurn(None, "user", text(12), images, begun),
            answer(0, 10, shown=False),
            answer(0, 20),
            WholeTurn(2, "user", text(12), (), begun + timedelta(seconds=60)),
            answer(3, 70),
        ),
        system_prompt="Be brief.",
        created_at=begun,
        tags=("kitchen",) if chance.random() < 0.01 else (),
    )
