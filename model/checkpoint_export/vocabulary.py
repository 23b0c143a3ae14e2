"""How many rows of the vocabulary LLaVA's own layout gets.

That code knows no image token: it cuts the text at `<image>`. A checkpoint of it that was read here got the token (and
perhaps a padding token, and rows up to a round number) behind its own; they are taken away again, and the tensors are
those that were read. Where the image token stands among the others it stays, since ids may not move.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from model.checkpoint import LoadedModel
from model.checkpoint.key_names import EMBEDDING_KEY, HEAD_KEY

PADDING_TOKENS = ("<pad>", "[PAD]")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`num_rows` ids stay; `dropped` are the added tokens behind them."""

    num_rows: int
    dropped: frozenset[str]

    @classmethod
    def of(cls, loaded: LoadedModel) -> Vocabulary:
        """Cut at the image token where nothing but it and a padding token stands from there on."""
        num_rows = int(loaded.model.config.text_config.vocab_size)
        behind = {
            number: token.content
            for number, token in loaded.tokenizer.added_tokens_decoder.items()
            if number >= loaded.image_token_id
        }
        others = {number: token for number, token in behind.items() if number != loaded.image_token_id}
        last = len(loaded.tokenizer) - len(behind)
        if last != loaded.image_token_id or any(token not in PADDING_TOKENS for token in others.values()):
            return cls(num_rows, frozenset())
        return cls(loaded.image_token_id, frozenset(behind.values()))

    def cut(self, name: str, tensor: Tensor) -> Tensor:
        """Embedding and head [V, Dt] -> [num_rows, Dt]; all other tensors as they are."""
        return tensor[: self.num_rows] if name in (EMBEDDING_KEY, HEAD_KEY) else tensor
