"""The language model's forward pass over one flat batch of rows that belong to many sequences.

It runs over the checkpoint's own modules (so quantised layers and adapters work) but for what `generate` spends on
generality: a row is a token of some sequence, all rows go through the linear layers together, and attention is computed
for each sequence over its own slot. The formulas are LLaMA's (Touvron et al. 2023, section 2.2).

Of a prompt only the last row's scores are wanted. So in the last layer the other rows give their keys and values to the
slot and are done: with twelve layers a fourteenth of the reading is never computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention

from model.checkpoint import UnsupportedCheckpoint
from model.engine.batch import Batch, Span
from model.engine.linears import AdaptedRows, Linears
from model.engine.slot_memory import CacheShape, SlotMemory
from model.llava import Llava

KNOWN_KINDS = ("llama", "mistral", "qwen2")


@dataclass(frozen=True, slots=True)
class _Look:
    """Query rows `start` to `stop` look at the first `num_seen` tokens in `memory`, as far as the mask lets them.

    The mask is [n, num_seen], or None where a plain causal one or none says it.
    """

    memory: SlotMemory
    start: int
    stop: int
    num_seen: int
    mask: Tensor | None = None


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
            _Layer(layer, f"layers.{index}", index == len(language.layers) - 1, take_weights=take_weights)
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
        return self._head(self._norm(hidden), _adapted_among(batch.wanted, batch.adapted))[0]

    def advance(self, batch: Batch) -> Tensor:
        """Writes the rows' keys and values into their slots -> hidden states of the wanted rows, before the last norm:
        [len(wanted), Dt].

        The slots must have room; how long they are now is the caller's to remember.
        """
        hidden = self._embed(torch.tensor(batch.ids, device=self._embed.weight.device))  # [R, Dt]
        for filled in batch.filled:
            hidden[filled.start : filled.start + len(filled.features)] = filled.features
        places = torch.cat(
            [torch.arange(span.num_past, span.num_past + span.stop - span.start) for span in batch.spans]
        ).to(self._cos.device)
        rotary = (self._cos[places], self._sin[places])
        looks = [_look(span) for span in batch.spans]
        *layers, last = enumerate(self._layers)
        for index, layer in layers:
            hidden, rotary, looks = self._on_device(index, hidden, rotary, looks)
            rows = layer.queries_keys_values(layer.norm_before(hidden), batch.adapted)
            queries, keys, values = (part.unflatten(-1, (-1, self.shape.head_dim)) for part in rows)
            self._remember(index, batch.spans, _rotated(keys, *rotary), values)
            attended = self._attended(index, layer, _rotated(queries, *rotary), looks)
            hidden = layer.output(attended, batch.adapted)[0].add_(hidden)
            hidden = layer.feed_forward(hidden, batch.adapted)
        return self._advance_last(*last, *self._on_device(last[0], hidden, rotary, looks)[:2], batch)

    def _advance_last(
        self, index: int, layer: _Layer, hidden: Tensor, rotary: tuple[Tensor, Tensor], batch: Batch
    ) -> Tensor:
        """The last layer: keys and values of all rows, everything else for the wanted ones only."""
        normed = layer.norm_before(hidden)
        keys, values = (
            part.unflatten(-1, (-1, self.shape.head_dim)) for part in layer.keys_values(normed, batch.adapted)
        )
        self._remember(index, batch.spans, _rotated(keys, *rotary), values)
        wanted = list(batch.wanted)
        if not wanted:
            return hidden[:0]
        adapted = _adapted_among(wanted, batch.adapted)
        queries = layer.queries(normed[wanted], adapted)[0].unflatten(-1, (-1, self.shape.head_dim))
        queries = _rotated(queries, *(each[wanted] for each in rotary))
        attended = self._attended(index, layer, queries, _looks_of(wanted, batch.spans))
        hidden = layer.output(attended, adapted)[0].add_(hidden[wanted])
        return layer.feed_forward(hidden, adapted)

    def _on_device(
        self, index: int, hidden: Tensor, rotary: tuple[Tensor, Tensor], looks: list[_Look]
    ) -> tuple[Tensor, tuple[Tensor, Tensor], list[_Look]]:
        """The same where this layer lies: a large model may be shared out over several GPUs."""
        device = self.shape.devices[index]
        if hidden.device == device and index > 0:
            return hidden, rotary, looks
        moved = [replace(look, mask=None if look.mask is None else look.mask.to(device)) for look in looks]
        return hidden.to(device), (rotary[0].to(device), rotary[1].to(device)), moved

    def _remember(self, index: int, spans: Sequence[Span], keys: Tensor, values: Tensor) -> None:
        """Rows' keys and values [R, K, Dh] into their slots."""
        for span in spans:
            rows = slice(span.start, span.stop)
            new = slice(span.num_past, span.num_past + span.stop - span.start)
            cache = span.memory.layers[index]
            cache[0, :, new] = keys[rows].transpose(0, 1)
            cache[1, :, new] = values[rows].transpose(0, 1)

    def _attended(self, index: int, layer: _Layer, queries: Tensor, looks: Sequence[_Look]) -> Tensor:
        """Query rows [n, heads, Dh] -> [n, heads * Dh]."""
        attended = torch.empty_like(queries)
        for look in looks:
            cache = look.memory.layers[index][:, None, :, : look.num_seen]
            rows = slice(look.start, look.stop)
            attended[rows] = self._over_slot(queries[rows], cache, look.mask, layer.scaling)
        return attended.flatten(1)

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
    """One decoder layer's parts, under the names that adapters use. The last one's queries are a product apart."""

    def __init__(self, layer: Any, name: str, is_last: bool, *, take_weights: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.scaling = float(attention.scaling)
        self.norm_before, self._norm_after = (
            _Norm(layer.input_layernorm),
            _Norm(layer.post_attention_layernorm),
        )

        def linears(block: str, module: Any, *parts: str) -> Linears:
            named = {f"{name}.{block}.{part}": module.get_submodule(part) for part in parts}
            return Linears(named, take_weights=take_weights)

        if is_last:
            self.queries = linears("self_attn", attention, "q_proj")
            self.keys_values = linears("self_attn", attention, "k_proj", "v_proj")
        else:
            self.queries_keys_values = linears("self_attn", attention, "q_proj", "k_proj", "v_proj")
        self.output = linears("self_attn", attention, "o_proj")
        self._gate_up = linears("mlp", mlp, "gate_proj", "up_proj")
        self._down = linears("mlp", mlp, "down_proj")
        self._activation = mlp.act_fn

    def feed_forward(self, hidden: Tensor, adapted: Sequence[AdaptedRows]) -> Tensor:
        """[R, Dt] -> [R, Dt]."""
        gate, up = self._gate_up(self._norm_after(hidden), adapted)
        return self._down(self._activation(gate).mul_(up), adapted)[0].add_(hidden)


def _rotated(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021) on [R, heads, Dh], as transformers pairs the halves."""
    return (heads * cos).addcmul_(heads.roll(heads.shape[-1] // 2, dims=-1), sin)


def _look(span: Span) -> _Look:
    """Each of a span's rows sees what was there before, the rows before it and itself."""
    num_rows = span.stop - span.start
    num_seen = span.num_past + num_rows
    if num_rows == 1 or span.num_past == 0:
        return _Look(span.memory, span.start, span.stop, num_seen)
    mask = torch.ones(num_rows, num_seen, dtype=torch.bool).tril(span.num_past)
    return _Look(span.memory, span.start, span.stop, num_seen, mask)


def _looks_of(wanted: Sequence[int], spans: Sequence[Span]) -> list[_Look]:
    """The wanted rows' own, counted in wanted rows, which are in ascending order, as spans are."""
    looks: list[_Look] = []
    for span in spans:
        while len(looks) < len(wanted) and wanted[len(looks)] < span.stop:
            num_seen = span.num_past + wanted[len(looks)] - span.start + 1
            looks.append(_Look(span.memory, len(looks), len(looks) + 1, num_seen))
    return looks


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
