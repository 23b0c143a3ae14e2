"""The language model's forward pass over one flat batch of rows that belong to many sequences.

It runs over the checkpoint's own modules (so quantised layers and adapters work) but for what `generate` spends on
generality: a row is a token of some sequence, all rows go through the linear layers together, and attention is computed
for each sequence over its own slot. The formulas are LLaMA's (Touvron et al. 2023, section 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention

from model.checkpoint import UnsupportedCheckpoint
from model.engine.batch import Batch, Span
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
        self._norm = _Norm(language.norm)
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
            _Layer(layer, f"layers.{index}", take_weights=take_weights)
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
        wanted = self.advance(batch)[list(batch.wanted)]
        adapted = [] if not batch.adapted else _adapted_among(batch.wanted, batch.adapted)
        return self._head(self._norm(wanted), adapted)[0]

    def advance(self, batch: Batch) -> Tensor:
        """Writes the rows' keys and values into their slots -> hidden states [R, Dt], before the last norm.

        The slots must have room; how long they are now is the caller's to remember.
        """
        hidden = self._embed(torch.tensor(batch.ids, device=self._embed.weight.device))  # [R, Dt]
        for filled in batch.filled:
            hidden[filled.start : filled.start + len(filled.features)] = filled.features
        places = torch.cat(
            [torch.arange(span.num_past, span.num_past + span.stop - span.start) for span in batch.spans]
        ).to(self._cos.device)
        rotary = [self._cos[places], self._sin[places]]
        masks = [_mask(span) for span in batch.spans]
        for index, layer in enumerate(self._layers):
            if index == 0 or self.shape.devices[index] != hidden.device:
                hidden, *rotary = (each.to(self.shape.devices[index]) for each in (hidden, *rotary))
                masks = [None if mask is None else mask.to(hidden.device) for mask in masks]
            hidden = self._attend(layer, index, hidden, batch, rotary, masks)
            hidden = layer.feed_forward(hidden, batch.adapted)
        return hidden

    def _attend(
        self,
        layer: _Layer,
        index: int,
        hidden: Tensor,
        batch: Batch,
        rotary: Sequence[Tensor],
        masks: Sequence[Tensor | None],
    ) -> Tensor:
        """[R, Dt] -> [R, Dt], the rows' keys and values written on the way."""
        num_rows, head_dim = len(hidden), self.shape.head_dim
        queries, keys, values = (
            part.view(num_rows, -1, head_dim)
            for part in layer.queries_keys_values(layer.norm_before(hidden), batch.adapted)
        )
        queries, keys = _rotated(queries, *rotary), _rotated(keys, *rotary)
        attended = torch.empty_like(queries)  # [R, heads, Dh]
        for span, mask in zip(batch.spans, masks, strict=True):
            rows = slice(span.start, span.stop)
            stop = span.num_past + span.stop - span.start
            cache = span.memory.layers[index]
            cache[0, :, span.num_past : stop] = keys[rows].transpose(0, 1)
            cache[1, :, span.num_past : stop] = values[rows].transpose(0, 1)
            attended[rows] = self._over_slot(queries[rows], cache[:, None, :, :stop], mask, layer.scaling)
        return hidden + layer.output(attended.view(num_rows, -1), batch.adapted)[0]

    def _over_slot(self, queries: Tensor, cache: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
        """Queries [n, heads, Dh] over a slot [2, 1, K, L, Dh] -> [n, heads, Dh]."""
        num_rows = len(queries)
        if num_rows == 1:  # the heads that share keys are rows of one query: nothing is copied
            grouped = queries.view(1, self._num_kv_heads, -1, self.shape.head_dim)
            result = scaled_dot_product_attention(grouped, cache[0], cache[1], scale=scaling)
            return result.view(1, self._num_heads, self.shape.head_dim)
        result = scaled_dot_product_attention(
            queries.transpose(0, 1)[None],
            cache[0],
            cache[1],
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=self._num_heads != self._num_kv_heads,
        )
        return result[0].transpose(0, 1)


class _Norm:
    """A module's RMS norm by PyTorch's own function, which is one call where the module makes six."""

    def __init__(self, module: Any) -> None:
        self._weight = module.weight
        self._epsilon = module.variance_epsilon

    def __call__(self, hidden: Tensor) -> Tensor:
        return rms_norm(hidden, self._weight.shape, self._weight, self._epsilon)


class _Layer:
    """One decoder layer's parts, under the names that adapters use."""

    def __init__(self, layer: Any, name: str, *, take_weights: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.scaling = float(attention.scaling)
        self.norm_before, self._norm_after = (
            _Norm(layer.input_layernorm),
            _Norm(layer.post_attention_layernorm),
        )
        self.queries_keys_values = Linears(
            {
                f"{name}.self_attn.{part}": attention.get_submodule(part)
                for part in ("q_proj", "k_proj", "v_proj")
            },
            take_weights=take_weights,
        )
        self.output = Linears({f"{name}.self_attn.o_proj": attention.o_proj}, take_weights=take_weights)
        self._gate_up = Linears(
            {f"{name}.mlp.{part}": mlp.get_submodule(part) for part in ("gate_proj", "up_proj")},
            take_weights=take_weights,
        )
        self._down = Linears({f"{name}.mlp.down_proj": mlp.down_proj}, take_weights=take_weights)
        self._activation = mlp.act_fn

    def feed_forward(self, hidden: Tensor, adapted: Sequence[AdaptedRows]) -> Tensor:
        """[R, Dt] -> [R, Dt]."""
        gate, up = self._gate_up(self._norm_after(hidden), adapted)
        return hidden + self._down(self._activation(gate) * up, adapted)[0]


def _rotated(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021) on [R, heads, Dh], as transformers pairs the halves."""
    return heads * cos + heads.roll(heads.shape[-1] // 2, dims=-1) * sin


def _mask(span: Span) -> Tensor | None:
    """Which keys each of a span's rows may see: [n, L]; None where a plain causal mask or none says it."""
    num_rows = span.stop - span.start
    if num_rows == 1 or span.num_past == 0:
        return None
    seen = torch.ones(num_rows, span.num_past + num_rows, dtype=torch.bool)
    return seen.tril(span.num_past)


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
    window = config.to_dict().get("sliding_window")
    if window is not None and config.to_dict().get("use_sliding_window", True) and window < context_tokens:
        raise UnsupportedCheckpoint(
            f"The language model looks back {window} tokens only, less than its context of {context_tokens}, which "
            f"the engine cannot; set max_position_embeddings to {window} in config.json."
        )
