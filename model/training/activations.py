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


def activation_bytes(
    shape: ModelShape, config: TrainingConfig, batch: Batch, bytes_per_number: int, *, fused_dropout: bool
) -> int:
    """At the highest point of a step, scores over the vocabulary included: when the way back begins, or with
    checkpointing, which keeps only what goes into each layer, in the middle of one (Chen et al. 2016, "Training Deep
    Nets with Sublinear Memory Cost", section 4.1). `fused_dropout`: a GPU's, which keeps a byte an element."""
    layer = _layer_bytes(shape, config, batch, bytes_per_number, 1 if fused_dropout else 4)
    a_stream = batch.num_places * shape.width * _stream_bytes(config, bytes_per_number)
    on_the_way_back = batch.num_places * 2 * shape.mlp_width * bytes_per_number
    last_norm = 2 * a_stream
    scores = _score_bytes(shape, batch, bytes_per_number)
    if config.activation_checkpointing:
        return round(shape.num_layers * a_stream + last_norm + max(scores, layer + on_the_way_back))
    return round(shape.num_layers * layer + last_norm + max(scores, on_the_way_back))


def _score_bytes(shape: ModelShape, batch: Batch, bytes_per_number: int) -> int:
    """Of the scores over the vocabulary, which there are at learned positions only: as computed, in float32, their
    logarithms, and the gradient of those."""
    copies = 4 + 4 + 4 + (bytes_per_number if bytes_per_number < 4 else 0)
    return batch.num_trained * shape.vocabulary * copies


def _stream_bytes(config: TrainingConfig, bytes_per_number: int) -> int:
    return 4 if config.recipe == "finetune" else bytes_per_number


def _layer_bytes(
    shape: ModelShape, config: TrainingConfig, batch: Batch, number: int, mask_bytes: int
) -> float:
    """What one layer keeps. `number` is the size of a number in products."""
    width, mlp, query, key = shape.width, shape.mlp_width, shape.query_width, shape.key_width
    trains_weights = config.recipe == "finetune"
    norms = 2 * width * 4  # what goes into each norm, in float32
    if trains_weights:
        norms += 2 * width * 4  # and the normalised stream, for the gradient of the norm's own weight
        # What comes out, for the products behind it; in half precision each of the five makes its own copy.
        norms += (5 if number < 4 else 2) * width * number
    attention = (2 * query + 2 * key) * number
    products = 3 * mlp * number + (mlp * number if trains_weights else 0)
    updates = 0.0
    if config.keeps_adapter:
        inputs = sum(columns for _, columns in shape.linears)
        dropped = number + (mask_bytes if config.lora_dropout else 0)
        updates = dropped * inputs + len(shape.linears) * config.lora_rank * number
    return batch.num_places * (norms + attention + products + updates)
