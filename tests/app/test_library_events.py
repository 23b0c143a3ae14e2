"""The library's answers to events, on a real log: what is shown, decided, taken back, and refused."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from app.library_events import LibraryEvents
from app.library_exports import LibraryExports
from app.library_tab import EVENTS
from conversations.store import ConversationStore
from tests.app.library_log import ANN, BOB, ROOT_USER, SmallLog, answered, write


@pytest.fixture
def log(store: ConversationStore) -> SmallLog:
    return write(store)


@pytest.fixture
def exports(store: ConversationStore, tmp_path: Path) -> LibraryExports:
    return LibraryExports(store, tmp_path / "exports")


@pytest.fixture
def events(store: ConversationStore, exports: LibraryExports) -> LibraryEvents:
    return LibraryEvents(store, exports, lambda owner: owner == ROOT_USER)


def do(events: LibraryEvents, what: str, owner: str | None = ROOT_USER, /, **data: Any) -> dict[str, Any]:
    return events.answered(getattr(events, what), owner, data)


def test_the_queue_shows_everybodys_answers_but_the_private_ones(
    events: LibraryEvents, log: SmallLog
) -> None:
    queue = do(events, "queue", filters={}, key="k")["queue"]
    assert (queue["key"], queue["count"], queue["after"]) == ("k", {"number": 2, "capped": False}, None)
    assert queue["html"].index(f'data-answer="{log.plain}"') < queue["html"].index(
        f'data-answer="{log.wrong}"'
    )
    assert "secret" not in queue["html"] and "What &lt;b&gt;colour&lt;/b&gt; is it?" in queue["html"]


def test_only_ones_own_conversation_is_offered_to_be_opened(
    events: LibraryEvents, store: ConversationStore, log: SmallLog
) -> None:
    mine = answered(store, ROOT_USER, "Mine?", "Yes.")
    shown = {turn: do(events, "item", turn=turn)["item"]["html"] for turn in (mine.id, log.wrong)}
    assert f'data-conversation="{mine.conversation_id}" data-turn="{mine.id}"' in shown[mine.id]
    assert "library-open" not in shown[log.wrong] and "asked by ann" in shown[log.wrong]


def test_who_may_not_review_gets_nothing_from_any_event(
    events: LibraryEvents, store: ConversationStore, exports: LibraryExports, log: SmallLog
) -> None:
    data = {
        "filters": {}, "turn": log.wrong, "state": "approved", "rating": "up", "tags": "x", "text": "mine",
        "what": "state", "answers": [log.wrong, log.plain], "action": 1, "name": "x", "number": 1, "format": "llava",
        "selection": {},
    }  # fmt: skip
    before = store.curation.trail()
    for name in EVENTS:
        for owner in (ANN, BOB, "visitor:x", None):
            assert do(events, name, owner, **data) == {}, name
    assert store.curation.trail() == before and exports.job.state.phase == "none"


def test_a_private_answer_is_not_there_for_any_event(
    events: LibraryEvents, store: ConversationStore, log: SmallLog
) -> None:
    for name in ("item", "decide", "rate", "tags", "correct", "keep"):
        answers = [log.private, log.wrong]
        told = do(
            events,
            name,
            turn=log.private,
            state="rejected",
            rating="up",
            tags="x",
            text="mine",
            answers=answers,
        )
        assert set(told) == {"said"} and told["said"]["failed"], name
    (whole,) = [turn for turn in store.path(ANN, log.private) if turn.id == log.private]
    assert (whole.state, whole.correction, whole.rating) == ("pending", None, None)


def test_one_answer_is_approved_corrected_and_tagged_and_each_can_be_taken_back(
    events: LibraryEvents, store: ConversationStore, log: SmallLog
) -> None:
    told = [
        do(events, "decide", turn=log.wrong, state="approved"),
        do(events, "correct", turn=log.wrong, text="It is <i>red</i>."),
        do(events, "tags", turn=log.wrong, tags="colour, easy"),
    ]
    item = store.curation.item(log.wrong)
    assert (item.state, item.correction, item.tags) == ("approved", "It is <i>red</i>.", ("colour", "easy"))
    assert item.answer == "Blue. Mail ann@example.org", "a correction never stands over the answer"
    shown = told[-1]["item"]["html"]
    assert (
        "It is &lt;i&gt;red&lt;/i&gt;." in shown
        and 'data-kind="email"' in shown
        and '<b dir="auto">you</b>' in shown
    )
    for each in reversed(told):
        done = do(events, "undo", action=each["said"]["undo"], answer=log.wrong)
        assert done["said"]["words"] == "Taken back on 1 answer." and done["item"]["answer"] == log.wrong
    item = store.curation.item(log.wrong)
    assert (item.state, item.correction, item.tags) == ("pending", None, ())


def test_a_correction_that_changes_nothing_offers_no_undo_of_another(
    events: LibraryEvents, store: ConversationStore, log: SmallLog
) -> None:
    do(events, "correct", turn=log.plain, text="A LLaVA.")
    do(events, "correct", turn=log.wrong, text="Red.")
    again = do(events, "correct", turn=log.plain, text="A LLaVA.")
    assert again["said"]["undo"] is None and store.curation.item(log.wrong).correction == "Red."


def test_an_answer_is_rated_with_reasons_and_a_note_and_it_can_be_taken_back(
    events: LibraryEvents, store: ConversationStore, log: SmallLog
) -> None:
    up = do(events, "rate", turn=log.wrong, rating="up")
    assert store.curation.item(log.wrong).rating == "up" and 'name="reason"' not in up["item"]["html"]
    do(events, "rate", turn=log.wrong, rating="down", note=" It is <red>. ")
    told = do(events, "rate", turn=log.wrong, rating="down", reasons=["made_up", "wrong"])
    item = store.curation.item(log.wrong)
    assert (item.rating, item.reasons, item.note) == ("down", ("wrong", "made_up"), "It is <red>.")
    shown = told["item"]["html"]
    assert 'value="made_up" aria-keyshortcuts="2" checked' in shown and "It is &lt;red&gt;." in shown
    assert 'data-value="down"' in shown and "rated it down" in shown
    same = do(events, "rate", turn=log.wrong, rating="down", reasons=["wrong", "made_up"])
    assert same["said"]["undo"] is None
    do(events, "undo", action=told["said"]["undo"], answer=log.wrong)
    item = store.curation.item(log.wrong)
    assert (item.rating, item.reasons, item.note) == ("down", (), "It is <red>.")
    do(events, "rate", turn=log.wrong, rating="")
    item = store.curation.item(log.wrong)
    assert (item.rating, item.reasons, item.note) == (None, (), "")
    for forged in ({"rating": "sideways"}, {"rating": "down", "reasons": ["ugly"]}, {"rating": 1}):
        assert do(events, "rate", turn=log.wrong, **forged)["said"]["failed"]


def test_a_bulk_action_means_what_the_filters_mean_and_is_taken_back_as_one(
    events: LibraryEvents, store: ConversationStore, log: SmallLog
) -> None:
    done = do(events, "bulk", what="tag", tag="pictures", filters={"has_picture": True})
    assert store.curation.item(log.wrong).tags == ("pictures",) and not store.curation.item(log.plain).tags
    assert done["said"]["changed"] and "1 answer" in done["said"]["words"]
    done = do(events, "bulk", what="state", state="rejected", filters={})
    assert [store.curation.item(each).state for each in (log.wrong, log.plain)] == ["rejected"] * 2
    do(events, "undo", action=done["said"]["undo"])
    assert [store.curation.item(each).state for each in (log.wrong, log.plain)] == ["pending"] * 2
    twice = do(events, "undo", action=done["said"]["undo"])
    assert twice["said"]["failed"] and "cannot be taken back" in twice["said"]["words"]


def test_of_near_duplicates_one_is_kept(
    events: LibraryEvents, store: ConversationStore, log: SmallLog
) -> None:
    other = answered(store, BOB, "what <b>colour</b> is it", "Red.", "red").id
    groups = do(events, "groups", filters={})["groups"]
    assert groups["number"] == 1 and f"[{other}, {log.wrong}]" in groups["html"]
    do(events, "keep", answers=[other, log.wrong], turn=other)
    assert (store.curation.item(log.wrong).state, store.curation.item(other).state) == ("rejected", "pending")
    assert do(events, "groups", filters={})["groups"]["number"] == 0
    trail = do(events, "trail")["trail"]["html"]
    assert "kept one of 2 near-duplicates" in trail and "undo-action" in trail


def test_what_is_wrong_with_a_filter_is_said(events: LibraryEvents, log: SmallLog) -> None:
    said = do(events, "queue", filters={"since": "yesterday"})["said"]
    assert said["failed"] and "since cannot be 'yesterday'" in said["words"]


def order(**selection: Any) -> dict[str, Any]:
    return {"format": "llava", "selection": selection}


def ended(events: LibraryEvents) -> dict[str, Any]:
    end = time.monotonic() + 180
    while (told := do(events, "jobs")["jobs"])["phase"] == "running":
        assert time.monotonic() < end
        time.sleep(0.02)
    return told


def test_an_export_is_counted_shown_made_and_listed(
    events: LibraryEvents, exports: LibraryExports, store: ConversationStore, log: SmallLog
) -> None:
    do(events, "correct", turn=log.wrong, text="It is red; mail ann@example.org.")
    outlook = do(events, "outlook", key="k", **order(filters={"has_picture": True}))["outlook"]
    assert (outlook["key"], outlook["number"]) == ("k", 1)
    assert "It is red; mail [email]." in outlook["rows"] and "Blue" not in outlook["rows"]
    unmasked = do(events, "outlook", **order(filters={"has_picture": True}, mask_personal_data=False))[
        "outlook"
    ]
    assert "ann@example.org" in unmasked["rows"]
    do(events, "export", **order(filters={"has_picture": True}))
    told = ended(events)
    assert told["phase"] == "done" and told["words"].startswith("1 rows with 1 answers and 1 pictures"), told
    ((name, manifest),) = exports.listed()
    assert name in told["html"] and manifest.selection.filters.has_picture
    made = store.curation.trail()[0]
    assert (made.actor, made.kind, made.value) == (ROOT_USER, "export", 1)
    assert made.about == {"format": "llava", "selection": manifest.selection.to_dict()}
    trail = do(events, "trail")["trail"]["html"]
    assert "exported 1 row as llava" in trail and '<b dir="auto">you</b>' in trail
    (row,) = json.loads((exports.folder(name) / "train.json").read_text())
    assert row["conversations"][1]["value"] == "It is red; mail [email]."


def test_an_export_of_nothing_says_so_before_it_is_made(events: LibraryEvents, log: SmallLog) -> None:
    outlook = do(events, "outlook", **order(filters={"text": "zebra"}))["outlook"]
    assert outlook["number"] == 0 and "Nothing would be exported" in outlook["rows"]
    said = do(events, "outlook", **order(validation=2))["said"]
    assert said["failed"] and "validation cannot be 2" in said["words"]


def test_an_earlier_export_is_made_again_with_the_same_bytes(
    events: LibraryEvents, exports: LibraryExports, store: ConversationStore, log: SmallLog
) -> None:
    do(events, "export", **order(seed=5, validation=0.5))
    ended(events)
    ((first, _),) = exports.listed()
    answered(store, ANN, "Asked after it?", "Yes.", "green")
    do(events, "again", name=first)
    ended(events)
    second = next(name for name, _ in exports.listed() if name != first)
    files = [
        path.relative_to(exports.folder(first)) for path in exports.folder(first).rglob("*") if path.is_file()
    ]
    assert len(files) >= 3
    assert all(
        (exports.folder(first) / file).read_bytes() == (exports.folder(second) / file).read_bytes()
        for file in files
    )
    assert "not what it was" not in exports.told()["words"]
    store.curation.correct("root", log.plain, "A machine.")
    do(events, "again", name=first)
    ended(events)
    assert ".json: not what it was before" in exports.told()["words"]
    for name in ("../x", "20200101-000000-llava", ""):
        assert do(events, "again", name=name)["said"]["failed"]


def test_the_number_alone_can_be_asked_for(events: LibraryEvents, log: SmallLog) -> None:
    queue = do(events, "queue", filters={}, key="k", only_count=True)["queue"]
    assert (queue["count"]["number"], queue["html"]) == (2, None)


def test_what_was_searched_for_is_marked_in_the_answer_too(events: LibraryEvents, log: SmallLog) -> None:
    shown = do(events, "item", turn=log.wrong, words="blue")["item"]["html"]
    assert '<mark class="hit">Blue</mark>' in shown


def test_what_a_person_made_of_their_own_answer_is_not_taken_back_for_them(
    events: LibraryEvents, store: ConversationStore, log: SmallLog
) -> None:
    store.feedback.rate(ANN, log.private, "up")
    (theirs,) = [each for each in store.curation.trail() if each.kind == "rate"]
    for number in (theirs.id, theirs.id + 1, 2**63 - 1, 0):
        assert do(events, "undo", action=number)["said"]["failed"]
    assert store.turn(ANN, log.private).rating == "up"
