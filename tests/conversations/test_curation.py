"""The review queue: what is meant by filters, page by page; what is done to one answer or many, and taken back."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest

from conversations import curation, shelf
from conversations.errors import InvalidFilters, InvalidText, NotFound
from conversations.filters import Filters
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome
from tests.conversations.small_log import SETTINGS, answered, asked, png


def ids(store: ConversationStore, **filters: object) -> list[int]:
    return [item.id for item in store.curation.page(Filters(**filters))]  # type: ignore[arg-type]


@pytest.fixture
def two(store: ConversationStore) -> tuple[int, int]:
    """The answers of two people, ann's with a picture and older."""
    picture = store.images.add(png())
    question = store.add_question("ann", store.create("ann").id, "What is on the table?", [picture])
    ann = answered(store, question, "A red cup. Mail me: ann@example.org")
    bob = answered(store, asked(store, "And who are you?", owner="bob"), "A parrot.", owner="bob")
    return ann.id, bob.id


def test_an_item_has_all_that_a_reviewer_needs(store: ConversationStore, two: tuple[int, int]) -> None:
    store.feedback.rate("ann", two[0], "down", reasons=["wrong"], note="It is a jug.")
    store.feedback.correct("ann", two[0], "A red jug.")
    store.curation.tag("root", two[0], ["cups"])
    item = store.curation.item(two[0])
    assert (item.question, item.correction, item.owner) == ("What is on the table?", "A red jug.", "ann")
    assert (item.rating, item.reasons, item.note) == ("down", ("wrong",), "It is a jug.")
    assert (item.state, item.tags, item.model, item.finish_reason) == ("pending", ("cups",), "demo", "stop")
    assert [(ref.width, ref.height) for ref in item.pictures] == [(4, 3)]
    (found,) = item.answer_personal
    assert item.answer[found.start : found.end] == "ann@example.org"
    assert store.curation.page(Filters())[1] == item


def test_a_follow_up_shows_the_pictures_above_it(store: ConversationStore, two: tuple[int, int]) -> None:
    conversation = store.turn("ann", two[0]).conversation_id
    more = store.images.add(png("blue"))
    follow = store.add_question("ann", conversation, "And this?", [more], parent_id=two[0])
    item = store.curation.item(answered(store, follow).id)
    assert [ref.sha256 for ref in item.pictures][1] == more.sha256 and len(item.pictures) == 2
    assert item.num_turns_above == 2
    plain = store.add_question("ann", conversation, "Sure?", parent_id=item.id)
    last = answered(store, plain)
    assert ids(store, has_picture=True) == [last.id, item.id, two[0]]
    assert ids(store, has_picture=False) == [two[1]]


def test_each_filter_means_what_it_says(store: ConversationStore, two: tuple[int, int]) -> None:
    ann, bob = two
    store.feedback.rate("ann", ann, "down", reasons=["made_up", "rude"])
    store.feedback.correct("ann", ann, "A jug.")
    store.curation.set_state("root", bob, "approved")
    store.history.tag("ann", store.turn("ann", ann).conversation_id, ["kitchen"])
    store.curation.tag("root", bob, ["birds"])
    failed = store.start_answer("bob", asked(store, "hm", owner="bob").id, SETTINGS)
    store.finish_answer(failed.id, AnswerOutcome("", "failed", "It died."))
    everything = [failed.id, bob, ann]
    cases: list[tuple[dict[str, object], list[int]]] = [
        ({}, everything),
        ({"rating": "down"}, [ann]),
        ({"rating": "none"}, [failed.id, bob]),
        ({"reason": "rude"}, [ann]),
        ({"reason": "wrong"}, []),
        ({"corrected": True}, [ann]),
        ({"corrected": False}, [failed.id, bob]),
        ({"state": "approved"}, [bob]),
        ({"state": "pending"}, [failed.id, ann]),
        ({"tag": "kitchen"}, [ann]),
        ({"tag": "birds"}, [bob]),
        ({"finish_reason": "failed"}, [failed.id]),
        ({"finish_reason": "stop"}, [bob, ann]),
        ({"model": "demo"}, everything),
        ({"model": "other"}, []),
        ({"owner": "bob"}, [failed.id, bob]),
        ({"text": "parrot"}, [bob]),
        ({"text": "JUG"}, [ann]),
        ({"text": "on the table"}, [ann]),
        ({"text": "nothing"}, []),
        ({"since": datetime.now(UTC) + timedelta(days=1)}, []),
        ({"until": datetime.now(UTC) + timedelta(days=1)}, everything),
        ({"until": datetime.now(UTC) - timedelta(days=1)}, []),
        ({"owner": "a\0"}, []),
        ({"tag": "\ud800"}, []),
        ({"text": "\0"}, []),
        ({"rating": "down", "state": "approved"}, []),
    ]
    for filters, expected in cases:
        assert ids(store, **filters) == expected, filters
        assert store.curation.count(Filters(**filters)).number == len(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("few", [0, 1000])
def test_any_two_filters_together_mean_both(
    store: ConversationStore, two: tuple[int, int], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Each has an index of its own, and SQLite refuses a query for which a named index is of no use."""
    monkeypatch.setattr(shelf, "FEW", few)
    store.feedback.rate("ann", two[0], "down", reasons=["rude"])
    store.feedback.correct("bob", two[1], "A jug.")
    store.curation.tag("root", two[0], ["birds"])
    values: list[tuple[str, object]] = [
        ("owner", "ann"), ("owner", "bob"), ("model", "demo"), ("rating", "down"), ("rating", "none"),
        ("reason", "rude"), ("tag", "birds"), ("state", "approved"), ("state", "pending"),
        ("finish_reason", "stop"), ("finish_reason", "failed"), ("has_picture", True), ("corrected", True),
        ("corrected", False), ("text", "jug"), ("since", datetime(2020, 1, 1, tzinfo=UTC)),
    ]  # fmt: skip
    each = {value: set(ids(store, **dict([value]))) for value in values}
    for one, other in itertools.combinations(values, 2):
        if one[0] != other[0]:
            filters = Filters(**dict([one, other]))  # type: ignore[arg-type]
            meant = {item.id for item in store.curation.page(filters)}
            assert meant == each[one] & each[other], filters
            assert store.curation.count(filters).number == len(meant)


def test_pages_follow_each_other_though_answers_are_decided_meanwhile(store: ConversationStore) -> None:
    made = [answered(store, asked(store, f"q{number}")).id for number in range(7)][::-1]
    seen: list[int] = []
    after = None
    while page := store.curation.page(Filters(state="pending"), after, 3):
        seen += [item.id for item in page]
        after = page[-1].place
        store.curation.set_state("root", page[0].id, "approved")
    assert seen == made


def test_counts_stop_at_the_cap(store: ConversationStore) -> None:
    for number in range(4):
        answered(store, asked(store, f"q{number}"))
    assert store.curation.count(Filters(), cap=3) == curation.Count(3, True)
    assert store.curation.count(Filters(), cap=4) == curation.Count(4, False)


def test_a_reviewer_decides_one_by_one(store: ConversationStore, two: tuple[int, int]) -> None:
    action = store.curation.set_state("root", two[0], "rejected")
    assert (action.actor, action.kind, action.value, action.num_answers) == ("root", "state", "rejected", 1)
    assert ids(store, state="rejected") == [two[0]]
    with pytest.raises(ValueError, match="'maybe'"):
        store.curation.set_state("root", two[0], "maybe")  # type: ignore[arg-type]
    with pytest.raises(InvalidText, match="1 to 60"):
        store.curation.tag("root", two[0], ["x" * 61])
    for missing in (10**6, -1, 2**70, "1"):
        with pytest.raises(NotFound):
            store.curation.set_state("root", missing, "approved")  # type: ignore[arg-type]


def test_all_that_is_meant_is_changed_and_taken_back_as_one(
    store: ConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curation, "BATCH", 2)
    made = [answered(store, asked(store, f"q{number}")).id for number in range(5)]
    store.curation.set_state("root", made[0], "rejected")
    action = store.curation.set_states("root", Filters(), "approved")
    assert action.num_answers == 5 and action.about == {"filters": {}}
    tagged = store.curation.add_tag("root", Filters(state="approved"), "good")
    assert tagged.num_answers == 5 and store.curation.tags() == ["good"]
    untagged = store.curation.remove_tag("root", Filters(tag="good"), "good")
    assert untagged.num_answers == 5 and store.curation.tags() == []
    assert store.curation.undo("root", untagged.id).num_answers == 5
    assert ids(store, tag="good") == made[::-1]
    assert store.curation.undo("root", tagged.id).num_answers == 5
    assert store.curation.undo("root", action.id).num_answers == 5
    assert ids(store, state="rejected") == [made[0]] and ids(store, state="approved") == []
    with pytest.raises(NotFound, match="cannot be taken back"):
        store.curation.undo("root", action.id)


def test_taking_back_leaves_what_was_decided_since(store: ConversationStore, two: tuple[int, int]) -> None:
    action = store.curation.set_states("root", Filters(), "approved")
    store.curation.set_state("another", two[0], "rejected")
    assert store.curation.undo("root", action.id).num_answers == 1
    assert ids(store, state="rejected") == [two[0]] and ids(store, state="pending") == [two[1]]


def test_a_decision_that_came_back_to_the_same_is_a_later_decision(
    store: ConversationStore, two: tuple[int, int]
) -> None:
    mine = store.curation.set_state("root", two[0], "approved")
    theirs = store.curation.set_state("another", two[0], "rejected")
    again = store.curation.set_states("another", Filters(), "approved")
    assert store.curation.undo("root", mine.id).num_answers == 0
    assert ids(store, state="approved") == [two[1], two[0]]
    assert store.curation.undo("another", again.id).num_answers == 2
    assert store.curation.undo("another", theirs.id).num_answers == 1
    assert ids(store, state="approved") == [two[0]]


def test_corrections_and_ratings_that_came_back_to_the_same_are_left(
    store: ConversationStore, two: tuple[int, int]
) -> None:
    corrected = [store.curation.correct("root", two[0], text) for text in ("X", "Y", "X")]
    rated = [store.curation.rate("root", two[0], thumb) for thumb in ("up", "down", "up")]  # type: ignore[arg-type]
    for action in (corrected[0], rated[0]):
        assert store.curation.undo("root", action.id).num_answers == 0
    item = store.curation.item(two[0])
    assert (item.correction, item.rating) == ("X", "up")


def test_all_is_taken_back_in_reverse_order(store: ConversationStore, two: tuple[int, int]) -> None:
    """What was taken back is no later decision: neither the action nor its undo."""
    states = ("approved", "rejected", "pending", "approved")
    actions = [store.curation.set_state("root", two[0], state) for state in states]  # type: ignore[arg-type]
    kept = store.curation.keep_one("root", two, two[1])
    texts = [store.curation.correct("root", two[0], text) for text in ("X", "Y", "X")]
    for action in (*reversed(texts), kept, *reversed(actions)):
        assert store.curation.undo("root", action.id).num_answers == 1
    item = store.curation.item(two[0])
    assert (item.state, item.correction) == ("pending", None)


def test_what_became_private_since_is_not_reached_by_an_undo(
    store: ConversationStore, two: tuple[int, int]
) -> None:
    approved = store.curation.set_states("root", Filters(), "approved")
    tagged = store.curation.add_tag("root", Filters(), "good")
    corrected = store.curation.correct("root", two[0], "Better.")
    store.history.set_private("ann", store.turn("ann", two[0]).conversation_id, True)
    assert store.curation.undo("root", corrected.id).num_answers == 0
    assert store.curation.undo("root", tagged.id).num_answers == 1
    assert store.curation.undo("root", approved.id).num_answers == 1
    item = store.curation.item(two[0], owner="ann")
    assert (item.state, item.tags, item.correction) == ("approved", ("good",), "Better.")


def test_taking_a_tag_back_leaves_those_that_came_since(
    store: ConversationStore, two: tuple[int, int]
) -> None:
    tagged = store.curation.add_tag("root", Filters(), "first")
    store.curation.add_tag("another", Filters(), "second")
    assert store.curation.undo("root", tagged.id).num_answers == 2
    assert store.curation.item(two[0]).tags == ("second",)


def test_ratings_and_corrections_are_taken_back(store: ConversationStore, two: tuple[int, int]) -> None:
    store.feedback.rate("ann", two[0], "down", reasons=["rude"], note="!")
    rated = store.curation.rate("root", two[0], "up")
    store.feedback.correct("ann", two[0], "Mine.")
    corrected = store.curation.correct("root", two[0], "Better, at a@b.example.")
    store.curation.undo("root", corrected.id)
    store.curation.undo("root", rated.id)
    turn = store.turn("ann", two[0])
    assert (turn.correction, turn.rating, turn.reasons, turn.note) == ("Mine.", "down", ("rude",), "!")
    assert len(store.recent("ann", "mine")) == 1 and store.recent("ann", "better") == []


def test_an_answer_that_is_being_written_is_not_decided_in_passing(store: ConversationStore) -> None:
    running = store.start_answer("ann", asked(store).id, SETTINGS)
    assert store.curation.set_states("root", Filters(), "approved").num_answers == 0
    assert store.curation.item(running.id).state == "pending"


def test_the_trail_stays_when_the_conversation_goes(store: ConversationStore, two: tuple[int, int]) -> None:
    store.curation.correct("root", two[0], "Secret.")
    store.delete("ann", store.turn("ann", two[0]).conversation_id)
    action = next(action for action in store.curation.trail() if action.kind == "correct")
    assert (action.actor, action.num_answers) == ("root", 1)
    assert store.curation.trail(turn_id=two[0]) == []
    assert store.curation.undo("root", action.id).num_answers == 0


def test_exports_stand_in_the_trail(store: ConversationStore) -> None:
    store.curation.note_export("root", 12, {"filters": {"rating": "up"}})
    (action,) = store.curation.trail()
    assert (action.actor, action.kind, action.value) == ("root", "export", 12)
    assert action.about == {"filters": {"rating": "up"}}


def test_no_more_tags_are_listed_than_a_page_can_show(
    store: ConversationStore, two: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curation, "MAX_TAGS_LISTED", 2)
    store.curation.tag("root", two[0], ["c", "a", "b"])
    assert store.curation.tags() == ["a", "b"]


def test_models_are_listed_for_the_filter(store: ConversationStore, two: tuple[int, int]) -> None:
    assert store.curation.models() == ["demo"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"colour": "red"}, "no filter 'colour'; there are corrected, "),
        ({"rating": "sideways"}, "rating cannot be 'sideways'; give one of up, down, none"),
        ({"since": "yesterday"}, "since cannot be 'yesterday'; give a day or a time like"),
        ({"since": 5}, "since cannot be 5"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "since cannot be '0001-01-01T00:00:00"),
        ({"until": "9999-12-31T23:59:59-14:00"}, "until cannot be '9999-12-31T23:59:59"),
        ({"has_picture": "yes"}, "has_picture cannot be 'yes'; give true or false"),
        ({"text": "x" * 201}, "text cannot be"),
        ({"reason": 1}, "reason cannot be 1; give one of wrong, "),
        ({"state": ["pending"]}, "state cannot be"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_named(values: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidFilters, match=says):
        Filters.from_json(values)


def test_a_time_that_has_no_place_in_utc_is_no_filter() -> None:
    with pytest.raises(InvalidFilters, match="since cannot be"):
        Filters(since=datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))))


def test_filters_come_back_from_json_the_same() -> None:
    filters = Filters(since=datetime(2026, 1, 2, tzinfo=UTC), rating="none", corrected=False, text="a b")
    assert Filters.from_json(filters.to_json()) == filters
    assert Filters.from_json({"until": "2026-01-31"}) == Filters(until=datetime(2026, 1, 31, tzinfo=UTC))
    assert Filters().to_json() == {}
