"""How much a way forward keeps for the way back, counted tensor by tensor from the code of the layers. No torch.

As Korthikanti et al. 2022 ("Reducing Activation Recomputation in Large Transformer Models", section 4.1) count them
for GPT. The layers here are transformers' LLaMA (models/llama/modeling_llama.py) with torch's fused attention, which
keeps queries, keys, values and its output but no scores (Dao et al. 2022, "FlashAttention", section 3.1), and with
the low-rank updates of peft (tuners/lora/layer.py). Two number formats take part: that of the stream between the
layers, which is float32 where the weights that make it are, and that in which products are computed.
"""

from __future__ import annotations

from dataclasses import dataclass

from model.training.config import TrainingConfig
from model.training.model_shape import ModelShape


@dataclass(frozen=True, slots=True)
class Batch:
    """A padded micro batch of `num_samples` x `num_tokens`, of which `num_trained` positions are learned."""

    num_samples: int
    num_tokens: int  # of the longest sample
    num_trained: int  # of all samples together

    @property
    def num_places(self) -> int:
        return self.num_samples * self.num_tokens


def activation_bytes(shape: ModelShape, config: TrainingConfig, batch: Batch, bytes_per_number: int) -> int:
    """Of the language model's layers. With checkpointing only what goes into each layer is kept, and one layer's own
    tensors at a time (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", section 4.1)."""
    layer = _layer_bytes(shape, config, batch, bytes_per_number)
    stream = batch.num_places * shape.width * _stream_bytes(config, bytes_per_number)
    on_the_way_back = batch.num_places * 4 * shape.mlp_width * bytes_per_number
    outside = 4 * stream  # words, words with pictures, their sum, what the last norm keeps
    if config.activation_checkpointing:
        return round(shape.num_layers * stream + layer + on_the_way_back + outside)
    return round(shape.num_layers * layer + on_the_way_back + outside)


def score_bytes(shape: ModelShape, batch: Batch, bytes_per_number: int) -> int:
    """Of the scores over the vocabulary, which there are at learned positions only: as computed, in float32, their
    logarithms, and the gradient of those."""
    copies = (4 + 4 + 4) if bytes_per_number == 4 else (bytes_per_number + 4 + 4 + 4)
    return batch.num_trained * shape.vocabulary * copies


def _stream_bytes(config: TrainingConfig, bytes_per_number: int) -> int:
    return 4 if config.recipe == "finetune" else bytes_per_number


def _layer_bytes(shape: ModelShape, config: TrainingConfig, batch: Batch, number: int) -> float:
    """One layer's tensors. `number` is the size of a number in products."""
    width, mlp, query, key = shape.width, shape.mlp_width, shape.query_width, shape.key_width
    trains_weights = config.recipe == "finetune"
    norms = 2 * width * 4  # what goes into each norm, in float32
    if trains_weights:
        norms += 2 * width * 4  # and the normalised stream, for the gradient of the norm's own weight
        norms += 2 * width * number  # and what comes out of it, for those of the products behind it
    # After the turn by position keys and values are repeated for each query head.
    attention = (2 * query + 2 * query) * number if query != key else (2 * query + 2 * key) * number
    products = 3 * mlp * number + (mlp * number if trains_weights else 0)
    updates = 0.0
    if config.keeps_adapter:
        inputs = sum(columns for _, columns in shape.linears)
        dropped = (number + (1 if number < 4 else 4) if config.lora_dropout else 0) * inputs
        updates = dropped + len(shape.linears) * config.lora_rank * number
    return batch.num_places * (norms + attention + products + updates)
