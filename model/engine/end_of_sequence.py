"""Which token ids end an answer. No torch here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel


def end_of_sequence_ids(loaded: LoadedModel) -> frozenset[int]:
    """Every id that ends an answer: the generation config's, the language model's and the tokenizer's."""
    found: set[int] = set()
    sources = (
        loaded.model.generation_config.eos_token_id,
        loaded.model.config.text_config.eos_token_id,
        loaded.tokenizer.eos_token_id,
    )
    for value in sources:
        found.update(value if isinstance(value, list | tuple) else [] if value is None else [value])
    return frozenset(found)
