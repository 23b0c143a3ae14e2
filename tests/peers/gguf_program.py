"""Writes a GGUF file for llama.cpp from a folder of llava-hf, in the peers' own environment:

    .venv-peers/bin/python FILE FOLDER OUT

The language model alone, in float32, with its vocabulary and its chat template.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy
from safetensors.numpy import load_file

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def main(folder: Path, out: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["text_config"]
    writer = gguf.GGUFWriter(str(out), "llama")
    _add_sizes(writer, config)
    _add_vocabulary(writer, folder)
    _add_weights(writer, folder, config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_sizes(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_vocabulary(writer: gguf.GGUFWriter, folder: Path) -> None:
    """llama.cpp's "llama" tokenizer joins the pair of the highest score first: so the first merge has the highest."""
    told = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    by_id = {number: piece for piece, number in told["model"]["vocab"].items()}
    special = {each["id"] for each in told["added_tokens"]}
    by_id |= {each["id"]: each["content"] for each in told["added_tokens"]}
    rank = {"".join(pair): -float(place) for place, pair in enumerate(told["model"]["merges"])}
    tokens = [by_id[number] for number in range(len(by_id))]
    kinds = [_kind(piece, number in special) for number, piece in enumerate(tokens)]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([rank.get(piece, -1e6) for piece in tokens])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(tokens.index("<unk>"))
    writer.add_bos_token_id(tokens.index("<s>"))
    writer.add_eos_token_id(tokens.index("</s>"))
    writer.add_add_bos_token(False)  # the chat template begins with it
    writer.add_add_space_prefix(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))


def _kind(piece: str, special: bool) -> gguf.TokenType:
    if piece == "<unk>":
        return gguf.TokenType.UNKNOWN
    if special:
        return gguf.TokenType.CONTROL
    return gguf.TokenType.BYTE if piece.startswith("<0x") else gguf.TokenType.NORMAL


def _add_weights(writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    inside = {
        name.removeprefix("language_model.model."): weight.astype(numpy.float32)
        for name, weight in tensors.items()
        if name.startswith("language_model.")
    }
    writer.add_tensor("token_embd.weight", inside["embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", inside["norm.weight"])
    head = inside.get("language_model.lm_head.weight")
    if head is not None:
        writer.add_tensor("output.weight", head)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for layer in range(config["num_hidden_layers"]):
        for theirs, name in NAMES.items():
            weight = inside[f"layers.{layer}.{theirs}.weight"]
            if name in heads:
                weight = _interleaved(weight, heads[name])
            writer.add_tensor(f"blk.{layer}.{name}.weight", weight)


def _interleaved(weight: numpy.ndarray, heads: int) -> numpy.ndarray:
    """transformers rotates a head's halves against each other, llama.cpp its neighbours: the rows in that order."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return numpy.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
