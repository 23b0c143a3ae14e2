"""llama.cpp by its C interface, in the peers' own environment: .venv-peers/bin/python FILE FOLDER THREADS CLOCK

Writes the language model of FOLDER (a LlamaForCausalLM in safetensors, float32) as a GGUF file into the same
folder, loads it, and then answers one JSON command a line on standard input with one JSON line on standard output:

    {"do": "prompt", "ids": [...]}                       -> {"seconds": ..., "num_tokens": ...}
    {"do": "decode", "prompts": [[...], ...], "steps": n} -> {"seconds": ..., "num_tokens": ..., "ids": [[...], ...]}

`decode` takes one prompt or several, which run as one batch; the prompts' reading is not timed. Greedy. The settings
are the library's defaults but for the threads, so the cache is in f16.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
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


def write_gguf(folder: Path) -> Path:
    """config.json and model.safetensors -> model.gguf, all in float32, without a vocabulary."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "model.safetensors")
    path = folder / "model.gguf"
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("no_vocab")
    writer.add_tensor("token_embd.weight", tensors["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", tensors["model.norm.weight"])
    if not config["tie_word_embeddings"]:
        writer.add_tensor("output.weight", tensors["lm_head.weight"])
    for layer in range(config["num_hidden_layers"]):
        for theirs, name in NAMES.items():
            weight = tensors[f"model.layers.{layer}.{theirs}.weight"]
            if name in ("attn_q", "attn_k"):
                weight = _interleaved(weight, heads if name == "attn_q" else kv_heads)
            writer.add_tensor(f"blk.{layer}.{name}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _interleaved(weight: numpy.ndarray, heads: int) -> numpy.ndarray:
    """transformers rotates a head's halves against each other, llama.cpp its neighbours: the rows in that order."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return numpy.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


class Peer:
    """The loaded model. A context is made for every command, outside of the time that is taken."""

    def __init__(self, path: Path, threads: int, now: Callable[[], float]) -> None:
        self._threads = threads
        self._now = now
        llama_cpp.llama_log_set(_say_errors, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(
            str(path).encode(), llama_cpp.llama_model_default_params()
        )
        if not self._model:
            raise SystemExit(f"llama.cpp could not load {path}.")
        self._vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))

    def prompt(self, ids: list[int]) -> dict[str, Any]:
        """Reads a prompt; timed up to the first token's scores."""
        context = self._context(len(ids) + 8, 1)
        started = self._now()
        self._read(context, ids, 0)
        token = self._best(context, -1)
        seconds = self._now() - started
        llama_cpp.llama_free(context)
        return {"seconds": seconds, "num_tokens": len(ids), "ids": [[token]]}

    def decode(self, prompts: list[list[int]], steps: int) -> dict[str, Any]:
        """Goes on with each prompt for `steps` tokens, all of them in every step."""
        longest = max(map(len, prompts)) + steps + 8
        context = self._context(longest * len(prompts), len(prompts))
        made = []
        for stream, ids in enumerate(prompts):
            self._read(context, ids, stream)
            made.append([self._best(context, -1)])
        batch = llama_cpp.llama_batch_init(len(prompts), 0, 1)
        started = self._now()
        for step in range(steps):
            batch.n_tokens = len(prompts)
            for stream, ids in enumerate(prompts):
                batch.token[stream] = made[stream][-1]
                batch.pos[stream] = len(ids) + step
                batch.n_seq_id[stream] = 1
                batch.seq_id[stream][0] = stream
                batch.logits[stream] = 1
            self._check(llama_cpp.llama_decode(context, batch))
            for stream in range(len(prompts)):
                made[stream].append(self._best(context, stream))
        seconds = self._now() - started
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(context)
        return {"seconds": seconds, "num_tokens": steps * len(prompts), "ids": made}

    def _context(self, num_tokens: int, streams: int) -> Any:
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = max(256 * streams, num_tokens)
        settings.n_seq_max = streams
        settings.n_threads = settings.n_threads_batch = self._threads
        context = llama_cpp.llama_init_from_model(self._model, settings)
        if not context:
            raise SystemExit("llama.cpp could not make a context.")
        return context

    def _read(self, context: Any, ids: list[int], stream: int) -> None:
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for place, token in enumerate(ids):
            batch.token[place] = token
            batch.pos[place] = place
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = stream
            batch.logits[place] = place == len(ids) - 1
        self._check(llama_cpp.llama_decode(context, batch))
        llama_cpp.llama_batch_free(batch)

    def _best(self, context: Any, place: int) -> int:
        scores = llama_cpp.llama_get_logits_ith(context, place)
        return int(numpy.ctypeslib.as_array(scores, shape=(self._vocab_size,)).argmax())

    @staticmethod
    def _check(status: int) -> None:
        if status != 0:
            raise SystemExit(f"llama_decode failed with status {status}.")


@llama_cpp.llama_log_callback
def _say_errors(level: int, text: bytes, data: Any) -> None:
    if level == 4:  # GGML_LOG_LEVEL_ERROR; 5 goes on with a line that was not shown
        sys.stderr.write(text.decode("utf-8", "replace"))


def main() -> None:
    """Until standard input ends."""
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    now = {"wall": time.perf_counter, "processor": time.process_time}[sys.argv[3]]
    peer = Peer(write_gguf(folder), threads, now)
    print(json.dumps({"version": llama_cpp.__version__}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        what = command.pop("do")
        answer = peer.prompt(**command) if what == "prompt" else peer.decode(**command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
