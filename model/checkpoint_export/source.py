"""What is written: a loaded model, the folder it came from, and the number format of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.checkpoint import LoadedModel, load
from model.checkpoint.hub import Hub
from model.checkpoint.key_names import HEAD_KEY, PROJECTOR
from model.checkpoint.saving import main_dtype
from model.checkpoint.shards import MAX_SHARD_BYTES
from model.checkpoint.weights import has_weights

from .new_folder import ExportError

STORED = "stored"


@dataclass(frozen=True, slots=True)
class Source:
    """A model to be written."""

    loaded: LoadedModel
    folder: Path | None = None  # where its tokenizer was read from
    dtype: torch.dtype | None = None  # None: every tensor as it is in memory
    max_shard_bytes: int = MAX_SHARD_BYTES

    @classmethod
    def read(
        cls,
        model: str,
        *,
        model_base: str | None = None,
        adapter: str | None = None,
        vision_tower: str | None = None,
        template: str | None = None,
        dtype: str = STORED,
        max_shard_bytes: int = MAX_SHARD_BYTES,
    ) -> Source:
        """Any checkpoint that can be read here, a folder or a name on the Hub, on the CPU. Raises CheckpointError.

        `dtype` "stored" keeps each tensor in the format that it has on disk, so that nothing is rounded but what an
        adapter is added to.
        """
        fetch = Hub().fetch
        folder = fetch(model)
        base = None if model_base is None else fetch(model_base)
        # An adapter and a projector have the tokenizer of their base.
        whole = folder if has_weights(folder) or base is None else base
        loaded = load(
            folder,
            model_base=base,
            adapter=adapter,
            vision_tower=vision_tower,
            template=template,
            dtype=None if dtype == STORED else dtype,
            device="cpu",
        )
        return cls(loaded, folder=whole, max_shard_bytes=max_shard_bytes)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(name in memory, tensor), each tensor once: a tied head is the embedding and is left out.

        Raises ExportError where the model is quantised: rounded weights are no checkpoint.
        """
        model = self.loaded.model
        for name, tensor in model.state_dict().items():
            if name == HEAD_KEY and model.config.tie_word_embeddings:
                continue
            if not tensor.is_floating_point():
                raise ExportError(
                    f"{name} is {tensor.dtype}, so {self.loaded.name} was loaded quantised; load it with "
                    "--quantize none to write it."
                )
            yield name, tensor if self.dtype is None else tensor.to(self.dtype)

    @property
    def main_dtype(self) -> torch.dtype:
        """The number format that the config names: that of most numbers."""
        return self.dtype or main_dtype(self.loaded.model)

    @property
    def num_bytes(self) -> int:
        """About how much the weights take on disk."""
        return sum(
            parameter.numel() * (self.dtype or parameter.dtype).itemsize
            for parameter in self.loaded.model.parameters()
        )

    @property
    def linear(self) -> bool:
        """Whether the projector is the paper's single matrix."""
        return not any(name.startswith(PROJECTOR + "linear_2.") for name in self.loaded.model.state_dict())
