"""The index of words: an FTS5 table in SQLite, a tsvector with a GIN index in PostgreSQL, both called `turn_search`.

One row a turn: the words of its text and, for a conversation's first questions, of the title. A row goes with its
turn: a trigger in SQLite, a foreign key in PostgreSQL (migrations/versions/0002_curation.py). Both databases get
words that are cut already (conversations/search_words.py), so that both find the same.

The owner stands among the words as one that nobody can type. A short digest is enough there: whoever reads what was
found asks for the owner again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from conversations.search_words import indexed, may_begin

MAX_POSITION = 16_383
"""PostgreSQL counts no further within a row, and keeps 256 places of one word."""

_PUT_SQLITE = text("INSERT OR REPLACE INTO turn_search (rowid, words) VALUES (:turn_id, :words)")
_PUT_POSTGRESQL = text(
    "INSERT INTO turn_search (turn_id, words) VALUES (:turn_id, CAST(:words AS tsvector))"
    " ON CONFLICT (turn_id) DO UPDATE SET words = excluded.words"
)
_FIND_SQLITE = text(
    "SELECT rowid FROM turn_search WHERE turn_search MATCH :query AND rowid < :before"
    " ORDER BY rowid DESC LIMIT :limit"
)
_FIND_POSTGRESQL = text(
    "SELECT turn_id FROM turn_search WHERE words @@ CAST(:query AS tsquery) AND turn_id < :before"
    " ORDER BY turn_id DESC LIMIT :limit"
)
_WORDS_SQLITE = text(
    "SELECT rowid, words FROM turn_search WHERE rowid IN (SELECT value FROM json_each(:ids))"
)
_AMONG_POSTGRESQL = text(
    "SELECT turn_id FROM turn_search"
    " WHERE turn_id = ANY(CAST(string_to_array(:ids, ',') AS bigint[])) AND words @@ CAST(:query AS tsquery)"
)
_NEWEST_TURN = text("SELECT max(turn_id) FROM turn_search")
_FIND_POSTGRESQL_WINDOW = text(
    "SELECT turn_id FROM turn_search WHERE turn_id < :before AND turn_id >= :from_id"
    " AND words @@ CAST(:query AS tsquery) ORDER BY turn_id DESC LIMIT :limit"
).bindparams(bindparam("from_id"))
_WINDOW = 20_000


def put(session: Session, rows: Iterable[tuple[int, str, str, str]]) -> None:
    """Make (turn id, owner, title, text) findable, in place of what the turn was found by before."""
    sqlite = _is_sqlite(session)
    parameters = [
        {"turn_id": turn_id, "words": _document(owner, title, words, sqlite=sqlite)}
        for turn_id, owner, title, words in rows
    ]
    if parameters:
        session.execute(_PUT_SQLITE if sqlite else _PUT_POSTGRESQL, parameters)


def turns_with(
    session: Session,
    phrases: Sequence[Sequence[str]],
    owner: str | None,
    *,
    limit: int,
    before: int = 2**62,
) -> list[int]:
    """The newest turns, older than the turn `before`, in which all the phrases stand; None: everybody's.

    Newest first costs what is looked at: SQLite walks the index backwards. PostgreSQL would fetch and sort whatever
    matches, which for a frequent word is half the table, so it looks through the newest turns first."""
    if _is_sqlite(session):
        values = {"query": _sqlite_query(phrases, owner), "before": before, "limit": limit}
        return list(session.scalars(_FIND_SQLITE, values))
    values = {"query": _postgresql_query(phrases, owner), "before": before, "limit": limit}
    newest = min(before, (session.scalar(_NEWEST_TURN) or 0) + 1)
    window = {**values, "from_id": newest - _WINDOW}
    found = list(session.scalars(_FIND_POSTGRESQL_WINDOW, window))
    if len(found) == limit or newest <= _WINDOW:
        return found
    older = {**values, "before": newest - _WINDOW, "limit": limit - len(found)}
    return found + list(session.scalars(_FIND_POSTGRESQL, older))


def each_with(
    session: Session, phrases: Sequence[Sequence[str]], turn_ids: Sequence[int]
) -> Iterator[list[int]]:
    """For each phrase those of the turns in which it stands. SQLite would look through its index once a turn; the
    words of a few turns are looked through sooner."""
    ids = ",".join(map(str, turn_ids))
    if _is_sqlite(session):
        rows = session.execute(_WORDS_SQLITE, {"ids": f"[{ids}]"}).all()
        for phrase in phrases:
            typed = f" {' '.join(phrase)}{'' if may_begin(phrase[-1]) else ' '}"
            yield [turn_id for turn_id, words in rows if typed in f" {words} "]
    else:
        for phrase in phrases:
            values = {"ids": ids, "query": _postgresql_query([phrase], None)}
            yield list(session.scalars(_AMONG_POSTGRESQL, values))


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def _owner_word(owner: str) -> str:
    return f"={hashlib.sha256(owner.encode()).hexdigest()[:12]}"


def _document(owner: str, title: str, words: str, *, sqlite: bool) -> str:
    document = f"{_owner_word(owner)} {indexed(title)} {indexed(words)}"
    if sqlite:
        return document
    places: defaultdict[str, list[str]] = defaultdict(list)
    for position, word in enumerate(document.split(), start=1):
        if len(places[word]) < 256:
            places[word].append(str(min(position, MAX_POSITION)))
    return " ".join(f"'{word}':{','.join(at)}" for word, at in places.items())


def _sqlite_query(phrases: Sequence[Sequence[str]], owner: str | None) -> str:
    parts = [f'"{" ".join(phrase)}"{" *" if may_begin(phrase[-1]) else ""}' for phrase in phrases]
    return " AND ".join(parts if owner is None else [*parts, f'"{_owner_word(owner)}"'])


def _postgresql_query(phrases: Sequence[Sequence[str]], owner: str | None) -> str:
    parts = [
        " <-> ".join(f"'{word}'" for word in phrase) + (":*" if may_begin(phrase[-1]) else "")
        for phrase in phrases
    ]
    return " & ".join(parts if owner is None else [*parts, f"'{_owner_word(owner)}'"])
