"""Measure the engine beside its peers: python -m scripts.bench_engine

Prints one table (Markdown) for a random LLaVA of 138M parameters, which it writes itself, and one without bars for the
shipped model; the results are kept in docs/benchmarks.md. Every row takes turns between our engine and a peer in one
process tree and says what it must reach and whether it does; the exit status is 0 either way. Rows are chosen by name:

    python -m scripts.bench_engine --model random --rows decode,streams --rounds 3

llama.cpp's rows need `python -m scripts.install_peers`; without it they are left out with a word.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from model.serving import LARGE_PAGES
from scripts.engine_bench import alone, bandwidth, beside_llama_cpp, crowd, machine, memory, over_http
from scripts.engine_bench.bench import Bench
from scripts.engine_bench.endless_copy import write_endless_copy
from scripts.engine_bench.plan import FULL, QUICK
from scripts.engine_bench.random_model import SEVEN_B, SMALL, TINY, write_random_model
from scripts.engine_bench.row import Row, head, line
from scripts.engine_bench.timed import count_processor_time

ROOT = Path(__file__).resolve().parent.parent
ROWS: dict[str, Callable[[Bench], Row | list[Row]]] = {
    "greedy": alone.greedy_tokens,
    "second": alone.second_turn,
    "first": alone.first_turn,
    "decode": alone.decode,
    "streams": crowd.streams,
    "crowd": crowd.crowd,
    "gap": crowd.longest_gap,
    "http": over_http.http,
    "serve": over_http.transformers_serve,
    "llama": beside_llama_cpp.rows,
    "memory": memory.resident,
}
NAMES = (*ROWS, "gpu")
"""The last one is a table of its own: a random 7B in bf16 and 4-bit, where there is a CUDA device."""
IN_ONE_PROCESS = ("greedy", "second", "first", "decode", "streams", "crowd", "gap", "llama")
MODELS = ("random", "demo", "tiny")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the machine and the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench_engine", description="Measure the engine beside its peers."
    )
    parser.add_argument(
        "--model",
        type=_names(MODELS),
        default=("random", "demo"),
        help="random (138M, written on the spot), demo (the shipped one), tiny (seconds; to try the script); "
        "default: random,demo",
    )
    parser.add_argument(
        "--rows", type=_names(NAMES), default=NAMES, help=f"of {','.join(NAMES)}; default: all"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements a row, of which the median counts"
    )
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="count what each side computes instead of the time that passes, for a machine with other work; "
        f"only rows {','.join(IN_ONE_PROCESS)}",
    )
    choice = parser.parse_args(argv)
    if choice.processor_time:
        if not set(choice.rows) <= set(IN_ONE_PROCESS):
            parser.error(
                f"--processor-time counts one process a side: --rows may be {','.join(IN_ONE_PROCESS)}"
            )
        count_processor_time()
    if choice.rounds < 1:
        parser.error(f"--rounds is {choice.rounds}; it must be at least 1")
    disable_progress_bar()
    set_verbosity_error()
    print(machine.describe(), flush=True)
    for model in choice.model:
        _print_table(model, choice.rows, choice.rounds)
    if "gpu" in choice.rows and "random" in choice.model:
        _print_gpu_table(choice.rounds)
    return 0


def _print_table(model: str, names: Sequence[str], rounds: int) -> None:
    with_bars = model == "random"
    with _checkpoint(model) as folder:
        bench = Bench.open(folder, QUICK if model == "tiny" else FULL, rounds)
        print(f"\n### {_title(model)}, {rounds} rounds\n\n{head(with_bars=with_bars)}", flush=True)
        try:
            for name in (name for name in names if name in ROWS):
                for row in _measured(ROWS[name], bench, name):
                    print(line(row, with_bars=with_bars), flush=True)
        finally:
            bench.close()


def _print_gpu_table(rounds: int) -> None:
    print(f"\n### A random LLaVA of 7B on the GPU, {rounds} rounds\n\n{head(with_bars=True)}", flush=True)
    if not torch.cuda.is_available():
        for name in ("bf16", "4bit"):
            for row in bandwidth.rows_left_out(name, FULL, "there is no CUDA device here"):
                print(line(row, with_bars=True), flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as parent:
        folder = write_random_model(Path(parent) / "7b", SEVEN_B, device="cuda", dtype=torch.bfloat16)
        for quantize in ("none", "4bit"):
            for row in bandwidth.rows(folder, FULL, rounds, device="cuda", quantize=quantize):
                print(line(row, with_bars=True), flush=True)


def _measured(measure: Callable[[Bench], Row | list[Row]], bench: Bench, name: str) -> list[Row]:
    """A row that fails is said to have failed, and the next one is measured all the same."""
    started = time.monotonic()
    try:
        found = measure(bench)
    except Exception as error:  # noqa: BLE001 - the edge of one row: hours of others must not be lost with it
        traceback.print_exc()
        found = Row.left_out(name, "–", f"it failed with {type(error).__name__}: {error}")
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return found if isinstance(found, list) else [found]


@contextlib.contextmanager
def _checkpoint(model: str) -> Iterator[Path]:
    """The folder of one of MODELS, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="bench-") as parent:
        folder = Path(parent) / model
        if model == "demo":
            yield write_endless_copy(ROOT / "model" / "demo", folder)
        else:
            yield write_random_model(folder, TINY if model == "tiny" else SMALL)


def _title(model: str) -> str:
    return {
        "random": "A random LLaVA: 138M parameters, 768 wide, 12 layers, 576 patches a picture, float32",
        "demo": "The shipped model, float32, told not to end its answers",
        "tiny": "A tiny random model: it shows that the script runs, and nothing else",
    }[model]


def _names(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """An argument that is a list of known names with commas."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {name!r}; choose from {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if LARGE_PAGES not in os.environ:  # torch has read it already; as the worker has it, and the peers too
        os.environ[LARGE_PAGES] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "scripts.bench_engine", *sys.argv[1:]])
    raise SystemExit(main())
