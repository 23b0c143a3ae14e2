"""The language model's forward pass over one flat batch of rows that belong to many sequences.

It runs over the checkpoint's own modules (so quantised layers and adapters work) but for what `generate` spends on
generality: a row is a token of some sequence, all rows go through the linear layers together, and attention is computed
for each sequence over its own slot. The formulas are LLaMA's (Touvron et al. 2023, section 2.2).

Of a prompt only the last row's scores are wanted. So in the last layer the other rows give their keys and values to the
slot and are done: with twelve layers a fourteenth of the reading is never computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from model.checkpoint import UnsupportedCheckpoint
from model.engine.attention import Look, attend, look, looks_of, remember
from model.engine.batch import Batch
from model.engine.decoder_layer import DecoderLayer, Norm
from model.engine.linears import AdaptedRows, Linears
from model.engine.slot_memory import CacheShape
from model.llava import Llava

KNOWN_KINDS = ("llama", "mistral", "qwen2")


class Network:
    """A LLaVA's language model, arranged for ragged batches."""

    def __init__(self, model: Llava, context_tokens: int, *, take_weights: bool = False) -> None:
        """Raises UnsupportedCheckpoint for a language model that is not of LLaMA's kind."""
        language = model.model.language_model
        _check_kind(model.config.text_config, context_tokens)
        self._embed = language.embed_tokens
        self.vocab_size = int(self._embed.num_embeddings)
        self._norm = Norm(language.norm)
        first = language.layers[0].self_attn
        self._num_kv_heads = first.config.num_key_value_heads
        self._num_heads = first.config.num_attention_heads
        weight = self._embed.weight
        self.shape = CacheShape(
            self._num_kv_heads,
            first.head_dim,
            weight.dtype,
            tuple(layer.input_layernorm.weight.device for layer in language.layers),
        )
        self._cos, self._sin = self._rotary_tables(language.rotary_emb, context_tokens)
        tied = model.lm_head.weight is weight
        self._head = Linears({"lm_head": model.lm_head}, take_weights=take_weights and not tied)
        self._layers = [
            DecoderLayer(
                layer, f"layers.{index}", index == len(language.layers) - 1, take_weights=take_weights
            )
            for index, layer in enumerate(language.layers)
        ]

    def _rotary_tables(self, rotary: Any, context_tokens: int) -> tuple[Tensor, Tensor]:
        """[context, 1, Dh] each; the sine has the sign of the half that it is multiplied with."""
        device = rotary.inv_freq.device
        places = torch.arange(context_tokens, device=device)
        example = torch.empty(0, dtype=self.shape.dtype, device=device)
        cos, sin = rotary(example, places[None])
        half = self.shape.head_dim // 2
        sign = torch.cat([-torch.ones(half), torch.ones(half)]).to(sin)
        return cos[0, :, None], (sin[0] * sign)[:, None]

    def scores(self, batch: Batch) -> Tensor:
        """Advances the slots -> logits [len(wanted), V]."""
        hidden = self.advance(batch)
        return self._head(self._norm(hidden), _adapted_among(batch.wanted, batch.adapted))

    def advance(self, batch: Batch) -> Tensor:
        """Writes the rows' keys and values into their slots -> hidden states of the wanted rows, before the last norm:
        [len(wanted), Dt].

        The slots must have room; how long they are now is the caller's to remember.
        """
        filler = [0] * (self._layers[0].output.fewest_rows - len(batch.ids))
        hidden = self._embed(torch.tensor([*batch.ids, *filler], device=self._embed.weight.device))  # [R, Dt]
        for filled in batch.filled:
            hidden[filled.start : filled.start + len(filled.features)] = filled.features
        places = [place for span in batch.spans for place in span.places] + filler
        at = torch.tensor(places, device=self._cos.device)
        rotary = (self._cos[at], self._sin[at])
        looks = [look(span) for span in batch.spans]
        *layers, last = enumerate(self._layers)
        for index, layer in layers:
            hidden, rotary, looks = self._on_device(index, hidden, rotary, looks)
            joined = layer.queries_keys_values(layer.norm_before(hidden), batch.adapted)
            heads = joined.unflatten(-1, (-1, self.shape.head_dim))  # [R, H + 2K, Dh]
            _rotate_(heads[:, : -self._num_kv_heads], *rotary)
            remember(index, batch.spans, heads[:, self._num_heads :])
            attended = attend(index, heads[:, : self._num_heads], looks, layer.scaling)
            hidden = layer.output(attended, batch.adapted, plus=hidden)
            hidden = layer.feed_forward(hidden, batch.adapted)
        return self._advance_last(*last, *self._on_device(last[0], hidden, rotary, looks)[:2], batch)

    def _advance_last(
        self, index: int, layer: DecoderLayer, hidden: Tensor, rotary: tuple[Tensor, Tensor], batch: Batch
    ) -> Tensor:
        """The last layer: keys and values of all rows, everything else for the wanted ones only."""
        normed = layer.norm_before(hidden)
        heads = layer.keys_values(normed, batch.adapted).unflatten(-1, (-1, self.shape.head_dim))
        _rotate_(heads[:, : self._num_kv_heads], *rotary)
        remember(index, batch.spans, heads)
        wanted = list(batch.wanted)
        if not wanted:
            return hidden[:0]
        adapted = _adapted_among(wanted, batch.adapted)
        queries = layer.queries(normed[wanted], adapted).unflatten(-1, (-1, self.shape.head_dim))
        _rotate_(queries, *(each[wanted] for each in rotary))
        attended = attend(index, queries, looks_of(wanted, batch.spans), layer.scaling)
        hidden = layer.output(attended, adapted, plus=hidden[wanted])
        return layer.feed_forward(hidden, adapted)

    def _on_device(
        self, index: int, hidden: Tensor, rotary: tuple[Tensor, Tensor], looks: list[Look]
    ) -> tuple[Tensor, tuple[Tensor, Tensor], list[Look]]:
        """The same where this layer lies: a large model may be shared out over several GPUs."""
        device = self.shape.devices[index]
        if hidden.device == device and index > 0:
            return hidden, rotary, looks
        moved = [each.on_device(device) for each in looks]
        return hidden.to(device), (rotary[0].to(device), rotary[1].to(device)), moved


def _rotate_(heads: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotary positions (Su et al. 2021) on [R, heads, Dh] in place, as transformers pairs the halves."""
    other_half = heads.roll(heads.shape[-1] // 2, dims=-1)
    heads.mul_(cos).addcmul_(other_half, sin)


def _adapted_among(wanted: Sequence[int], adapted: Sequence[AdaptedRows]) -> list[AdaptedRows]:
    """The same groups, counted in wanted rows, which are in ascending order."""
    groups = []
    for group in adapted:
        mine = [place for place, row in enumerate(wanted) if group.start <= row < group.stop]
        if mine:
            groups.append(AdaptedRows(mine[0], mine[-1] + 1, group.deltas))
    return groups


def _check_kind(config: Any, context_tokens: int) -> None:
    if config.model_type not in KNOWN_KINDS:
        raise UnsupportedCheckpoint(
            f"The language model is of the kind {config.model_type!r}; the engine knows {', '.join(KNOWN_KINDS)}. "
            "Choose another checkpoint."
        )
    positions = config.to_dict().get("rope_parameters") or {}
    if positions.get("rope_type") == "longrope":
        raise UnsupportedCheckpoint(
            "The language model's positions (rope_type 'longrope') change with the length of the conversation, so keys "
            "that are remembered would not fit; choose a checkpoint with other positions."
        )
    window = config.to_dict().get("sliding_window")
    if window is not None and config.to_dict().get("use_sliding_window", True) and window < context_tokens:
        raise UnsupportedCheckpoint(
            f"The language model looks back {window} tokens only, less than its context of {context_tokens}, which "
            f"the engine cannot; set max_position_embeddings to {window} in config.json."
        )
