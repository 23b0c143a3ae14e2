"""How large a model is: what its memory and its time are estimated from. No torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Counts of numbers (weights) by part, and the widths that activations have."""

    tower: int
    projector: int
    embeddings: int
    language: int  # all of its layers and its last norm
    head: int  # 0 where it is the same table as the words'
    quantisable: int  # of the tower and the language model: those that can be kept in 4 bits
    linears: tuple[tuple[int, int], ...]  # (out, in) of each linear in one layer of the language model
    num_layers: int
    width: int
    mlp_width: int
    query_width: int  # all heads together
    key_width: int
    vocabulary: int
    tower_width: int
    tower_mlp_width: int
    tower_layers: int
    num_patches: int  # places that a picture takes

    @property
    def num_weights(self) -> int:
        return self.tower + self.projector + self.embeddings + self.language + self.head

    @property
    def computing(self) -> int:
        """Of the language model, those that every token is multiplied with; the head is counted by itself."""
        return self.num_layers * sum(rows * columns for rows, columns in self.linears)

    def adapters(self, rank: int) -> int:
        """Of low-rank updates on every linear of the language model (Hu et al. 2021, section 4.1)."""
        return self.num_layers * sum(rank * (rows + columns) for rows, columns in self.linears)
