"""How much of the memory's speed decoding reaches: what a token must read, over what a plain copy moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from model.checkpoint.loaded_model import LoadedModel
from model.checkpoint.loading import load
from model.engine.request import GenerationRequest
from scripts.engine_bench.engine import new_engine
from scripts.engine_bench.memory_program import cache_bytes
from scripts.engine_bench.plan import Plan
from scripts.engine_bench.row import Bar, Row
from scripts.engine_bench.talk import Talks
from scripts.engine_bench.timed import read_one, read_together, steady_rate

COPY_BYTES = 1 << 30


def rows(
    folder: Path, plan: Plan, rounds: int, *, device: str, quantize: str, copy_bytes: int = COPY_BYTES
) -> list[Row]:
    """Decoding of one stream and of several with one checkpoint in bfloat16 or quantised ("4bit")."""
    loaded = load(folder, dtype="bfloat16", device=device, quantize=quantize)
    talks = Talks(loaded)
    name = "bf16" if quantize == "none" else quantize
    weights = read_bytes(loaded)  # before the engine takes them
    engine = new_engine(loaded)
    read_one(engine, talks.request(talks.cold(plan.short_prompt_tokens, ()), 2))
    one, many, copies = [], [], []
    for _ in range(rounds):
        copies.append(copy_bandwidth(torch.device(device), copy_bytes))
        one.append(steady_rate(read_together(engine, _requests(talks, plan, 1))))
        many.append(steady_rate(read_together(engine, _requests(talks, plan, plan.num_streams))))
    asyncio.run(engine.close())
    tokens = plan.short_prompt_tokens + plan.answer_tokens // 2  # in the cache, on the average
    cache = cache_bytes(loaded.model.config.text_config, tokens, loaded.model.dtype.itemsize)
    shares = [rate * (weights + cache) / copy for rate, copy in zip(one, copies, strict=True)]
    spread = f"{min(shares):.2f}–{max(shares):.2f}"
    note = f"{weights / 1e9:.3g} GB of weights and {cache / 1e6:.3g} MB of cache a token"
    share, streams = _names(name, plan)
    return [
        Row(
            *share,
            f"{median(one):.3g} tokens/s",
            f"{median(copies) / 1e9:.0f} GB/s",
            median(shares),
            spread,
            Bar(0.6, 0.6),
            note,
        ),
        Row.paired(*streams, "tokens/s", many, one, Bar(5.0, 5.0)),
    ]


def rows_left_out(name: str, plan: Plan, why: str) -> list[Row]:
    """The same rows where they cannot be measured. `name` is bf16 or 4bit."""
    return [Row.left_out(*names, why) for names in _names(name, plan)]


def _names(name: str, plan: Plan) -> tuple[tuple[str, str], tuple[str, str]]:
    """What, and against what."""
    share = (f"{name}: share of the memory bandwidth, one stream", "a measured copy")
    return share, (f"{name}: decode, {plan.num_streams} streams", "one stream")


def read_bytes(loaded: LoadedModel) -> int:
    """The weights that one step of decoding reads: all of the language model's, but of the embedding one row."""
    model = loaded.model
    embedding = model.get_input_embeddings().weight
    parts = (model.model.language_model, model.lm_head)
    weights = {id(weight): weight for part in parts for weight in part.parameters()}
    if model.lm_head.weight is not embedding:
        weights.pop(id(embedding))
    return sum(_stored_bytes(weight) for weight in weights.values())


def _stored_bytes(weight: torch.Tensor) -> int:
    """A quantised weight's scales are read along with it."""
    state = vars(weight).get("quant_state")
    scales = 0 if state is None else state.absmax.numel() * state.absmax.element_size()
    return weight.numel() * weight.element_size() + scales


def copy_bandwidth(device: torch.device, num_bytes: int) -> float:
    """Bytes a second of a copy from one half of `num_bytes` to the other, read and written ones; the best of five."""
    source = torch.ones(num_bytes // 2, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(5):
        _wait_for(device)
        started = time.perf_counter()
        target.copy_(source)
        _wait_for(device)
        best = min(best, time.perf_counter() - started)
    return 2 * source.numel() / best


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _requests(talks: Talks, plan: Plan, num_streams: int) -> Sequence[GenerationRequest]:
    cold = [talks.cold(plan.short_prompt_tokens, ()) for _ in range(num_streams)]
    return [talks.request(talk, plan.answer_tokens) for talk in cold]
