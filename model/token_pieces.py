"""The text of each token of a prompt, for people to look at: joined, the pieces read as the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Decoder(Protocol):
    """The part of a tokenizer that is used here."""

    def decode(self, token_ids: Sequence[int], **options: bool) -> str: ...


def token_pieces(tokenizer: Decoder, token_ids: Sequence[int]) -> list[str]:
    """One text a token, special tokens by their names. A character of several tokens stands at the last of them.

    Each token is decoded together with the one before it, since its spacing depends on that one.
    """
    pieces: list[str] = []
    context_from = new_from = 0
    for end in range(1, len(token_ids) + 1):
        before = _decoded(tokenizer, token_ids[context_from:new_from])
        text = _decoded(tokenizer, token_ids[context_from:end])
        if text.endswith(UNFINISHED) or len(text) < len(before):
            pieces.append("")
            continue
        pieces.append(text[len(before) :])
        context_from, new_from = new_from, end
    return pieces


def _decoded(tokenizer: Decoder, token_ids: Sequence[int]) -> str:
    return tokenizer.decode(token_ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
