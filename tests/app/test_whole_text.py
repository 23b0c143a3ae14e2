"""What may be kept and shown: never half a character."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.whole_text import WholePieces, whole_text

ANY = st.text(alphabet=st.characters(), max_size=6)  # halves of surrogate pairs among them


@given(ANY)
def test_any_text_can_be_encoded_and_whole_text_stays_as_it_is(text: str) -> None:
    whole = whole_text(text)
    whole.encode()
    assert whole_text(whole) == whole


def test_two_halves_become_their_character_and_one_alone_a_mark() -> None:
    assert whole_text("a\ud83d\ude00b") == "a\U0001f600b"
    assert whole_text("a\ud83db") == whole_text("a\ude00b") == "a\ufffdb"


@given(st.lists(ANY, max_size=6))
def test_pieces_give_the_same_text_however_it_is_cut(pieces: list[str]) -> None:
    joined = WholePieces()
    assert "".join(map(joined.feed, pieces)) + joined.rest() == whole_text("".join(pieces))
