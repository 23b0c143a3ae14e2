"""Near-duplicates: which answers are taken for the same, and what is done with all but one."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text

from conversations import curation
from conversations.errors import NotFound
from conversations.filters import Filters
from conversations.messages import ImageRef
from conversations.store import ConversationStore
from conversations.turns import Turn
from tests.conversations.small_log import answered, asked, database_url, png


def ids(store: ConversationStore, **filters: object) -> list[int]:
    return [item.id for item in store.curation.page(Filters(**filters))]  # type: ignore[arg-type]


def test_of_near_duplicates_one_is_kept(store: ConversationStore) -> None:
    def about(colour: str, text: str, size: tuple[int, int] = (64, 64)) -> int:
        picture: ImageRef = store.images.add(png(colour, size))
        return answered(store, store.add_question("ann", store.create("ann").id, text, [picture])).id

    same = [
        about("red", "What colour is it?"),
        about("red", "what COLOUR is it"),
        about("red", "What colour is it?", (90, 90)),
    ]
    other = [about("blue", "What colour is it?"), about("red", "How many are there?")]
    (group,) = store.curation.duplicates(Filters())
    assert sorted(group.turn_ids) == same and group.num_answers == 3
    assert [item.id for item in group.items] == same[::-1]
    action = store.curation.keep_one("root", group.turn_ids, same[1])
    assert action.num_answers == 2 and ids(store, state="rejected") == [same[2], same[0]]
    assert store.curation.duplicates(Filters()) == []
    assert ids(store, state="pending") == [*other[::-1], same[1]]
    with pytest.raises(NotFound, match="not among"):
        store.curation.keep_one("root", same, other[0])
    store.curation.undo("root", action.id)
    assert len(store.curation.duplicates(Filters())) == 1


def grouped(store: ConversationStore) -> list[set[int]]:
    return [set(group.turn_ids) for group in store.curation.duplicates(Filters())]


def about(store: ConversationStore, text: str, *colours: str, under: Turn | None = None) -> Turn:
    """The answer to a question about pictures of these colours, in a conversation of its own or under an answer."""
    pictures = [store.images.add(png(colour, (64, 64))) for colour in colours]
    conversation = store.create("ann").id if under is None else under.conversation_id
    parent = None if under is None else under.id
    return answered(store, store.add_question("ann", conversation, text, pictures, parent_id=parent))


def test_all_pictures_of_a_question_are_compared(store: ConversationStore) -> None:
    same = {about(store, "What changed?", "red", "blue").id for _ in range(2)}
    about(store, "What changed?", "red", "green")
    about(store, "What changed?", "blue", "red")
    about(store, "What changed?", "red")
    assert grouped(store) == [same]


def test_questions_without_words_are_compared_as_they_are(store: ConversationStore) -> None:
    same = {about(store, text, "red").id for text in ("🦜", " 🦜 ")}
    about(store, "🐈", "red")
    about(store, "", "red")
    assert grouped(store) == [same]


def test_each_question_of_a_conversation_is_compared_and_of_its_versions_one(
    store: ConversationStore,
) -> None:
    first = about(store, "What colour is it?", "red")
    about(store, "How many are there?", "red", under=first)
    again = about(store, "What colour is it?", "red")
    assert grouped(store) == [{first.id, again.id}]
    picture = store.images.add(png("red", (64, 64)))
    edited = store.add_question("ann", again.conversation_id, "what colour is it", [picture])
    newest = answered(store, edited)
    assert grouped(store) == [{first.id, newest.id}]


@pytest.mark.parametrize("batch", [2, 2000])
def test_all_but_one_of_a_large_group_are_rejected_in_batches(
    store: ConversationStore, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(curation, "BATCH", batch)
    made = [answered(store, asked(store, f"q{number}")).id for number in range(6)]
    private = answered(store, asked(store, "mine"))
    store.history.set_private("ann", private.conversation_id, True)
    for stranger in (private.id, 10**6, -1, 2**70):
        with pytest.raises(NotFound, match=f"answer {stranger} "):
            store.curation.keep_one("root", [*made, stranger], made[3])
    with pytest.raises(NotFound):
        store.curation.keep_one("root", made, made[3], owner="bob")
    assert ids(store, state="rejected") == [] and store.curation.trail()[0].kind == "private"
    queries: list[str] = []
    engine = store.curation._database._engine
    event.listen(engine, "before_cursor_execute", lambda *each: queries.append(each[2]))
    action = store.curation.keep_one("root", [*made, made[0]], made[3])
    assert len(queries) < (16 if batch == 2000 else 40)
    assert action.num_answers == 5 and ids(store, state="pending") == [made[3]]
    assert store.curation.undo("root", action.id).num_answers == 5


def test_pictures_of_an_earlier_version_are_looked_at_when_duplicates_are_asked_for(
    store: ConversationStore, tmp_path: Path
) -> None:
    for size in ((64, 64), (90, 90)):
        picture = store.images.add(png("red", size))
        answered(store, store.add_question("ann", store.create("ann").id, "What is it?", [picture]))
    engine = create_engine(database_url(tmp_path))
    with engine.begin() as connection:
        connection.execute(text("UPDATE pictures SET fingerprint = NULL"))
    engine.dispose()
    assert [group.num_answers for group in store.curation.duplicates(Filters())] == [2]
