"""The sidebar's list, and what a search finds."""

from __future__ import annotations

import pytest

from conversations import search, search_index
from conversations.errors import InvalidText
from conversations.store import ConversationStore
from conversations.turns import AnswerOutcome
from tests.conversations.small_log import SETTINGS, answered, asked


def test_recent_is_newest_first_in_pages_and_without_empty_conversations(store: ConversationStore) -> None:
    first, second, third = (asked(store, name) for name in ("first", "second", "third"))
    store.create("ann")
    answered(store, first)
    listed = store.recent("ann")
    assert [summary.title for summary in listed] == ["first", "third", "second"]
    assert [summary.id for summary in store.recent("ann", limit=2, offset=1)] == [
        third.conversation_id,
        second.conversation_id,
    ]
    assert store.recent("ann", limit=-1) == []


def test_search_finds_all_words_in_titles_and_texts(store: ConversationStore) -> None:
    one = asked(store, "A red SQUARE please")
    answered(store, one, "It is 100% certain, under_score and back\\slash.")
    asked(store, "a blue square")

    def found(words: str) -> list[str]:
        return [summary.title for summary in store.recent("ann", words)]

    assert found("square") == ["a blue square", "A red SQUARE please"] or len(found("square")) == 2
    assert found("red square") == found("certain RED") == ["A red SQUARE please"]
    for literal in ("100%", "under_score", "back\\slash"):
        assert found(literal) == ["A red SQUARE please"]
    for nothing in ("r_d", "%%", "green", "10%0", "\0", "\ud800", "x" * 100_000, "' OR 1=1 --"):
        assert found(nothing) == []
    assert store.recent("bob", "square") == []


@pytest.mark.parametrize(
    ("typed", "words"),
    [("Ein ÄRGER", "ärger"), ("ein ärger", "ÄRGER"), ("ПРИВЕТ", "привет"), ("ΟΔΟΣ", "οδος")],
)
def test_search_ignores_case_in_every_script(store: ConversationStore, typed: str, words: str) -> None:
    question = asked(store, typed)
    assert [summary.title for summary in store.recent("ann", words)] == [typed]
    store.rename("ann", question.conversation_id, "other")
    assert [summary.title for summary in store.recent("ann", words)] == ["other"]


def test_pages_of_the_list_may_be_asked_for_with_any_number(store: ConversationStore) -> None:
    asked(store)
    assert store.recent("ann", offset=2**70) == []
    assert len(store.recent("ann", limit=2**70, offset=-(2**70))) == 1


def test_renaming_keeps_the_new_title(store: ConversationStore) -> None:
    question = asked(store)
    answer = answered(store, question)
    store.rename("ann", question.conversation_id, "  My\nsquares ")
    store.add_question("ann", question.conversation_id, "more", parent_id=answer.id)
    assert [summary.title for summary in store.recent("ann", "squares")] == ["My squares"]
    for bad in ("", "  ", "x" * 201, "a\0"):
        with pytest.raises(InvalidText):
            store.rename("ann", question.conversation_id, bad)


def test_what_was_found_is_highlighted_and_can_be_shown(store: ConversationStore) -> None:
    question = asked(store, "A red square please")
    first = answered(store, question, "Here is a\nSQUARE, drawn in red.")
    answered(store, question, "No.")
    (found,) = store.recent("ann", "drawn squ")
    assert found.hit_turn_id == first.id and found.hit is not None
    assert [found.hit.text[span.start : span.end] for span in found.hit.hits] == ["SQUARE", "drawn"]
    assert [found.title[span.start : span.end] for span in found.title_hits] == ["square"]
    store.show("ann", found.hit_turn_id)
    assert store.load("ann", found.id).shown[-1].id == first.id


def test_the_snippet_is_cut_from_where_the_words_stand(store: ConversationStore) -> None:
    """In the question, the answer, or the right answer that somebody wrote beside it."""
    question = asked(store, "Is it a narwhal?")
    answer = answered(store, question, "A whale.")
    store.rename("ann", question.conversation_id, "other")

    def found(words: str) -> tuple[str, list[str], int | None]:
        (summary,) = store.recent("ann", words)
        assert summary.hit is not None
        marked = [summary.hit.text[span.start : span.end] for span in summary.hit.hits]
        return summary.hit.text, marked, summary.hit_turn_id

    store.feedback.correct("ann", answer.id, "Look at its tooth.")
    assert found("narw") == ("Is it a narwhal?", ["narwhal"], question.id)
    assert found("whale") == ("A whale.", ["whale"], answer.id)
    assert found("tooth") == ("Look at its tooth.", ["tooth"], answer.id)
    assert found("tooth whale") == ("A whale.", ["whale"], answer.id)
    (by_title,) = store.recent("ann", "other")
    assert by_title.hit is not None and (by_title.hit.text, by_title.hit.hits) == ("Is it a narwhal?", ())


def test_words_far_down_in_a_long_text_are_shown(store: ConversationStore) -> None:
    question = asked(store, "filling " * 4000 + "narwhal")
    answer = answered(store, question, "Short.")
    store.feedback.correct("ann", answer.id, "filling " * 4000 + "tooth")
    for word in ("narwhal", "tooth"):
        (found,) = store.recent("ann", word)
        assert found.hit is not None and found.hit.text.endswith(word) and len(found.hit.hits) == 1


def test_words_are_found_by_their_beginning_and_without_accents(store: ConversationStore) -> None:
    asked(store, "Größere Übungen, 猫がいる")
    for typed in ("gross", "ubung", "ÜBUNGEN", "猫", "がい"):
        assert len(store.recent("ann", typed)) == 1, typed
    for typed in ("roß", "bungen", "犬", "g"):
        assert store.recent("ann", typed) == [], typed


def test_the_conversation_that_was_found_last_stands_first(store: ConversationStore) -> None:
    old, new = asked(store, "a whale"), asked(store, "another whale")
    assert [found.id for found in store.recent("ann", "whale")] == [new.conversation_id, old.conversation_id]
    answered(store, old, "A whale it is.")
    assert [found.id for found in store.recent("ann", "whale")] == [old.conversation_id, new.conversation_id]
    assert [found.id for found in store.recent("ann", "whale", limit=1, offset=1)] == [new.conversation_id]


def test_one_long_conversation_does_not_hide_the_others(
    store: ConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_BATCH", 3)
    other = asked(store, "a whale")
    question = asked(store, "whale 0")
    for number in range(10):
        answered(store, question, f"whale {number}")
    assert [found.id for found in store.recent("ann", "whale", limit=2)] == [
        question.conversation_id,
        other.conversation_id,
    ]


def test_what_is_gone_or_changed_is_not_found(store: ConversationStore) -> None:
    question = asked(store, "a whale")
    running = store.start_answer("ann", question.id, SETTINGS)
    store.save_partial(running.id, "A dolphin")
    store.interrupt("ann", question.conversation_id)
    assert len(store.recent("ann", "dolphin")) == 1
    store.finish_answer(running.id, AnswerOutcome("A porpoise", "stop"))
    assert store.recent("ann", "dolphin") == [] and len(store.recent("ann", "porpoise")) == 1
    store.delete("ann", question.conversation_id)
    assert store.recent("ann", "whale") == store.recent("ann", "porpoise") == []


def test_a_text_of_any_length_can_be_searched(store: ConversationStore) -> None:
    words = " ".join(f"word{number}" for number in range(60_000))
    asked(store, words + " " + "x" * 5000)
    assert len(store.recent("ann", "word19")) == 1


def test_hits_older_than_the_first_look_are_found_in_order(
    store: ConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "_WINDOW", 4)
    made = [asked(store, f"a whale, number {number}").conversation_id for number in range(12)][::-1]
    assert [found.id for found in store.recent("ann", "whale")] == made
    assert [found.id for found in store.recent("ann", "whale", limit=5, offset=3)] == made[3:8]


def test_words_in_different_turns_find_the_conversation(store: ConversationStore) -> None:
    both = asked(store, "An under_score here", owner="ann")
    answered(store, both, "A whale, x marks it.")
    asked(store, "An underscore, under which no score")
    for typed in ("under_score whale", "WHA under_sc", "x under_score", "here marks"):
        assert [found.id for found in store.recent("ann", typed)] == [both.conversation_id], typed
    for typed in ("under_score shark", "score_under whale", "m under_score here_a"):
        assert store.recent("ann", typed) == [], typed


def test_a_search_gives_one_more_than_it_shows_so_that_who_asks_sees_that_there_are_more(
    store: ConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_FOUND", 3)
    for number in range(3):
        asked(store, f"a whale, number {number}")
    assert len(store.recent("ann", "whale", limit=4)) == 3
    for number in range(3, 6):
        asked(store, f"a whale, number {number}")
    assert len(store.recent("ann", "whale", limit=4)) == len(store.recent("ann", "whale", limit=100)) == 4
    assert store.recent("ann", "whale", limit=4, offset=4) == []
