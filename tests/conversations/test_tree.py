"""Versions and branches: a tree of turns, of which one path is shown."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversations.store import ConversationStore
from tests.conversations.small_log import (
    answered,
    asked,
    texts,
)


def test_retry_keeps_the_earlier_answer_as_another_version(store: ConversationStore) -> None:
    question = asked(store)
    first, second = answered(store, question, "first"), answered(store, question, "second")
    assert (second.version, second.num_versions) == (2, 2)
    assert [turn.text for turn in store.versions("ann", first.id)] == ["first", "second"]
    assert [turn.version for turn in store.versions("ann", second.id)] == [1, 2]
    assert texts(store, question.conversation_id)[-1] == "second"
    store.show("ann", first.id)
    assert texts(store, question.conversation_id)[-1] == "first"


def test_an_edited_question_is_a_version_and_each_keeps_what_follows(
    store: ConversationStore,
) -> None:
    first = asked(store, "one")
    conversation_id = first.conversation_id
    answer = answered(store, first, "answer to one")
    old = store.add_question("ann", conversation_id, "follow-up", parent_id=answer.id)
    answered(store, old, "answer to follow-up")
    edited = store.add_question("ann", conversation_id, "one, edited", parent_id=None)
    assert (edited.version, edited.num_versions) == (2, 2)
    answered(store, edited, "answer to the edited")
    assert texts(store, conversation_id) == ["one, edited", "answer to the edited"]
    store.show("ann", first.id)
    assert texts(store, conversation_id) == ["one", "answer to one", "follow-up", "answer to follow-up"]
    store.show("ann", edited.id)
    assert texts(store, conversation_id) == ["one, edited", "answer to the edited"]
    assert [turn.text for turn in store.path("ann", old.id)] == ["one", "answer to one", "follow-up"]


def test_showing_a_turn_on_a_hidden_branch_shows_the_way_to_it(store: ConversationStore) -> None:
    first = asked(store, "one")
    answer = answered(store, first, "answer to one")
    store.add_question("ann", first.conversation_id, "edited", parent_id=None)
    store.show("ann", answer.id)
    assert texts(store, first.conversation_id) == ["one", "answer to one"]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=4, max_size=8))
def test_any_tree_reads_as_a_path_of_parents_with_whole_versions(
    store: ConversationStore, steps: list[tuple[int, bool]]
) -> None:
    turns = [asked(store, "root")]
    conversation_id = turns[0].conversation_id
    for where, go_back in steps:
        parent = turns[where % len(turns)]
        if parent.role == "user":
            turns.append(answered(store, parent, f"answer {len(turns)}"))
        else:
            turns.append(store.add_question("ann", conversation_id, f"q {len(turns)}", parent_id=parent.id))
        if go_back:
            store.show("ann", turns[where % len(turns)].id)
    newest = turns[-1]
    store.show("ann", newest.id)
    shown = store.load("ann", conversation_id).shown
    assert newest.id in [turn.id for turn in shown]
    assert [turn.parent_id for turn in shown] == [None, *(turn.id for turn in shown[:-1])]
    for turn in shown:
        versions = store.versions("ann", turn.id)
        assert [version.version for version in versions] == list(range(1, turn.num_versions + 1))
        assert versions[turn.version - 1] == turn
    assert store.path("ann", shown[-1].id) == shown
