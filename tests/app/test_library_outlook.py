"""What an export would hold: the export's own numbers, and a row as a trainer will see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.library_outlook import check_html, counts_html, expected
from app.library_request import ExportOrder, LibraryRequest
from app.worker_values import ModelPrompt
from conversations.errors import NotFound
from conversations.messages import Message
from conversations.store import ConversationStore
from tests.app.library_log import ROOT_USER, write


@dataclass
class WordsAsTokens:
    """A worker whose tokens are words, and which trains on every answer."""

    asked: list[tuple[Sequence[Message], str | None]] = field(default_factory=list)

    def prompt(
        self, messages: Sequence[Message], *, model: str, system_prompt: str | None, timeout_seconds: float
    ) -> ModelPrompt:
        self.asked.append((messages, system_prompt))
        words = [(word, message.role == "assistant") for message in messages for word in message.text.split()]
        return ModelPrompt(
            text=" ".join(word for word, _ in words),
            token_ids=tuple(range(len(words))),
            tokens=tuple(word for word, _ in words),
            mask=tuple(trained for _, trained in words),
            image_token_id=-1,
            tokens_per_picture=1,
        )


def order(format: str = "llava", **selection: Any) -> ExportOrder:
    return LibraryRequest({"format": format, "selection": selection}).order()


def test_the_counts_are_the_exports_and_say_when_not_all_was_looked_at(store: ConversationStore) -> None:
    log = write(store)
    store.curation.set_state(ROOT_USER, log.plain, "rejected")
    whole = expected(store, order())
    assert whole.whole and whole.tally.num_rows.total() == 1 and whole.tally.num_pictures == 1
    assert whole.tally.left_out == {"private": 1, "rejected": 1}
    assert "the first answer was rejected" in counts_html(whole) and "of the first" not in counts_html(whole)
    part = expected(store, order(), most=1)
    assert not part.whole and "of the first 1 conversations" in counts_html(part)


def test_a_trainer_sees_the_correction_and_not_the_answer(store: ConversationStore) -> None:
    log = write(store)
    store.curation.correct(ROOT_USER, log.wrong, "Red <b>indeed</b>.")
    worker = WordsAsTokens()
    html = check_html(store, worker, order(filters={"has_picture": True}), 1)
    assert 'class="learnt" title="5">&lt;b&gt;indeed&lt;/b&gt;.' in html and "Blue" not in html
    ((messages, _),) = worker.asked
    assert [image.sha256 for image in messages[0].images] == [
        image.sha256 for image in store.curation.item(log.wrong).pictures
    ]
    with pytest.raises(NotFound, match="no row 2"):
        check_html(store, worker, order(filters={"has_picture": True}), 2)
    for nowhere in (0, 2**53, 2**70):
        with pytest.raises(NotFound, match=f"no row {nowhere}"):
            check_html(store, worker, order(), nowhere)


def test_of_a_preference_both_answers_are_shown_and_only_they_are_learned(store: ConversationStore) -> None:
    log = write(store)
    store.curation.correct(ROOT_USER, log.wrong, "Red.")
    html = check_html(store, WordsAsTokens(), order("preference"), 1)
    chosen, rejected = html.split("<h3>Rejected</h3>")
    assert '"learnt" title="4">Red.' in chosen and '"learnt" title="4">Blue.' in rejected
    assert "Mail" in rejected and 'class="learnt" title="0"' not in html
