"""Ids become text piece by piece, as if they had been decoded at once, and never with half a character."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from model.engine.token_text import TokenText
from tests.model.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def ids_of(text: str) -> list[int]:
    return TOKENIZER.encode(text, add_special_tokens=False)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd▁"), max_size=25))
def test_the_pieces_joined_are_the_text_decoded_at_once(text: str) -> None:
    token_text = TokenText(TOKENIZER)
    ids = ids_of(text)
    pieces = [token_text.feed(token_id) for token_id in ids]
    assert "".join(pieces) + token_text.rest() == TOKENIZER.decode(ids, skip_special_tokens=True).lstrip()
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_of_four_bytes_comes_whole() -> None:
    token_text = TokenText(TOKENIZER)
    pieces = [token_text.feed(token_id) for token_id in ids_of("a😀b")]
    assert [piece for piece in pieces if piece] == ["a", "😀", "b"]


def test_a_character_that_is_never_finished_is_dropped() -> None:
    token_text = TokenText(TOKENIZER)
    shown = "".join(token_text.feed(token_id) for token_id in ids_of("a😀")[:-1])
    assert shown + token_text.rest() == "a"


def test_special_tokens_give_no_text() -> None:
    token_text = TokenText(TOKENIZER)
    ids = [*ids_of("a"), TOKENIZER.eos_token_id, *ids_of("b")]
    assert "".join(token_text.feed(token_id) for token_id in ids).replace(" ", "") == "ab"
