"""Measures an engine's resident memory in a process that does nothing else:

    python -m scripts.engine_bench.memory_program FOLDER SLOTS TOKENS ANSWER

Fills SLOTS slots with TOKENS tokens each, all at once, the last ANSWER of them written, and prints one JSON object in
bytes: what the imports took, the weights (every parameter once), the cache's keys and values, and the highest resident
set while the slots were in use.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import torch

from model import checkpoint
from scripts.engine_bench.engine import new_engine
from scripts.engine_bench.talk import Talks
from scripts.engine_bench.timed import read_together

SAMPLE_SECONDS = 0.02


class Peak:
    """The highest resident set of this process, looked at all the time while the block runs."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, resident_bytes())
            if self._ended.wait(SAMPLE_SECONDS):
                return


def resident_bytes() -> int:
    """What of this process lies in memory now (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmRSS; memory is measured on Linux only.")


def cache_bytes(config: object, num_tokens: int, bytes_each: int) -> int:
    """Keys and values of so many tokens for a language model's config: 2 x layers x key/value heads x head size."""
    values = config.to_dict()  # type: ignore[attr-defined]
    a_token = 2 * values["num_hidden_layers"] * values["num_key_value_heads"] * values["head_dim"]
    return int(a_token * num_tokens * bytes_each)


def main() -> None:
    """Print the numbers."""
    folder, (slots, tokens, answer) = Path(sys.argv[1]), map(int, sys.argv[2:5])
    imports = resident_bytes()
    loaded = checkpoint.load(folder)
    # Counted now: the engine keeps them in an order of its own and empties these.
    weights = sum(weight.numel() * weight.element_size() for weight in loaded.model.parameters())
    engine = new_engine(loaded, num_slots=slots)
    talks = Talks(loaded)
    requests = [talks.request(talks.cold(tokens - answer), answer) for _ in range(slots)]
    before = resident_bytes()
    with Peak() as peak:
        answers = read_together(engine, requests)
    numbers = {
        "imports": imports,
        "before": before,
        "peak": peak.bytes,
        "weights": weights,
        "cache": cache_bytes(loaded.model.config.text_config, slots * tokens, loaded.model.dtype.itemsize),
        "tokens_in_slots": sum(
            len(request.input_ids) + done.num_tokens for request, done in zip(requests, answers, strict=True)
        ),
    }
    print(json.dumps(numbers))


if __name__ == "__main__":
    with torch.inference_mode():
        main()
