"""How many rows of the vocabulary LLaVA's own layout gets.

That code knows no image token: it cuts the text at `<image>`. A checkpoint of it that was read here got the token, with
the mean of all rows as its own, since the embedding has no other; such rows are taken away again, and the tensors are
those that were read. Rows that somebody trained stay, and so does an image token that stands among the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.checkpoint import LoadedModel
from model.checkpoint.key_names import EMBEDDING_KEY, HEAD_KEY

IMAGE_TOKEN = "<image>"
TABLES = (EMBEDDING_KEY, HEAD_KEY)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`num_rows` ids stay; `dropped` are the added tokens behind them."""

    num_rows: int
    dropped: frozenset[str]

    @classmethod
    def of(cls, loaded: LoadedModel) -> Vocabulary:
        """Without the image token where it is the last one and its rows say nothing."""
        num_rows = int(loaded.model.config.text_config.vocab_size)
        image_id = loaded.image_token_id
        is_last = image_id == num_rows - 1 == len(loaded.tokenizer) - 1
        if is_last and loaded.tokenizer.convert_ids_to_tokens(image_id) == IMAGE_TOKEN:
            state = loaded.model.state_dict()
            if all(_last_is_the_mean(state[name]) for name in TABLES):
                return cls(num_rows - 1, frozenset([IMAGE_TOKEN]))
        return cls(num_rows, frozenset())

    def cut(self, name: str, tensor: Tensor) -> Tensor:
        """Embedding and head [V, Dt] -> [num_rows, Dt]; all other tensors as they are."""
        return tensor[: self.num_rows] if name in TABLES else tensor


def _last_is_the_mean(table: Tensor) -> bool:
    """Computed as reading does (model/checkpoint/plan.py), so that the rows are equal to the bit or another's."""
    mean = table[:-1].to(torch.float32).mean(dim=0).to(table.dtype)
    return torch.equal(table[-1], mean)
