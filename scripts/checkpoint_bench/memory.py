"""The most memory that a process which loads a checkpoint ever holds, beside its limit."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.worker_child import WorkerOptions
from app.worker_process import WorkerProcess
from model.checkpoint import load
from scripts.checkpoint_bench.held_bytes import held_bytes
from scripts.checkpoint_bench.random_checkpoint import make_random

ROOT = Path(__file__).resolve().parents[2]
LIMIT_FACTOR, LIMIT_BYTES = 1.2, 1e9
PATIENCE_SECONDS = 3600.0
"""Quantising a billion weights to 4 bits takes minutes on a slow machine."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A load in a process of its own."""

    name: str
    weights: int
    peak: int
    seconds: float

    @property
    def limit(self) -> float:
        return LIMIT_FACTOR * self.weights + LIMIT_BYTES

    def line(self) -> str:
        return (
            f"| {self.name} | {self.weights / 1e9:.2f} GB | {self.peak / 1e9:.2f} GB | {self.limit / 1e9:.2f} GB | "
            f"{self.seconds:.0f} s |"
        )


def measure_peaks(folder: Path) -> Iterator[Peak]:
    """`load` in each format and precision, and then the worker that a page starts."""
    make_random(folder)
    tower = {"vision_tower": str(folder / "tower")}
    base = {"model_base": str(folder / "base")}
    llava_hf: dict[str, Peak] = {}
    for dtype, quantize in (
        ("float16", "none"),
        ("float32", "none"),
        ("float16", "8bit"),
        ("float16", "4bit"),
    ):
        what = dtype if quantize == "none" else quantize
        options = {"dtype": dtype, "quantize": quantize}
        yield (peak := _of_loading(f"llava-hf, safetensors, {what}", folder / "hf", options))
        llava_hf[what] = peak
    pickled = {"dtype": "float16", **tower}
    yield _of_loading("LLaVA's own, pickled, float16", folder / "original", pickled)
    yield _of_loading("delta and base, pickled, float16", folder / "delta", {**pickled, **base})
    for dtype in ("float16", "float32"):
        started_with = WorkerOptions(model=str(folder / "hf"), device="cpu", dtype=dtype)
        yield _of_the_worker(f"the worker, llava-hf, {dtype}", started_with, llava_hf[dtype].weights)


def _of_loading(name: str, folder: Path, options: dict[str, str]) -> Peak:
    command = [sys.executable, "-m", "scripts.bench_checkpoints", "--load", str(folder), json.dumps(options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} could not be loaded:\n{done.stderr[-2000:]}")
    return Peak(name, **json.loads(done.stdout.splitlines()[-1]))


def _of_the_worker(name: str, options: WorkerOptions, weights: int) -> Peak:
    """Until it is ready to answer: weights packed for the engine, and warmed up."""
    with tempfile.TemporaryDirectory() as logs:
        worker = WorkerProcess(options, Path(logs) / "worker.log")
        started = time.perf_counter()
        worker.start()
        try:
            state = worker.wait_until_ready(PATIENCE_SECONDS)
            if state.phase != "ready":
                raise SystemExit(f"{name} could not be started: {state.reason}")
            seconds = time.perf_counter() - started
            status = Path(f"/proc/{worker.process_id}/status").read_text()
        finally:
            worker.stop()
    highest = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert highest is not None, "Linux tells the most that a process ever held"
    return Peak(name, weights, 1024 * int(highest[1]), seconds)


def load_and_tell(folder: str, options: dict[str, Any]) -> None:
    """In a process of its own: load, and print what it took."""
    started = time.perf_counter()
    loaded = load(folder, device="cpu", **options)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"weights": held_bytes(loaded.model), "peak": peak, "seconds": seconds}))
