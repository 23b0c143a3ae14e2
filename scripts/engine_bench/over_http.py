"""Rows about the worker's door: what HTTP costs, and the worker beside `transformers serve`."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from model.engine.apart import apart
from scripts.engine_bench.bench import Bench
from scripts.engine_bench.client import ask_together, body
from scripts.engine_bench.hf_layout import write_hf_layout
from scripts.engine_bench.process import PeerFailed, free_port, says, serving
from scripts.engine_bench.reference import transformers_model
from scripts.engine_bench.row import Bar, Row
from scripts.engine_bench.timed import Timed, read_together, seconds


def http(bench: Bench) -> Row:
    """Eight cold streams through the worker and the `openai` client, against the same ones asked of the engine here."""
    plan = bench.plan
    what = f"{plan.num_streams} streams through HTTP with the `openai` client, in total"
    against = "the same engine called directly"
    batches = _batches(bench)
    stop = (bench.loaded.template.stop,) if bench.loaded.template.stop else ()  # as the worker does
    requests = [[bench.talks.request(talk, plan.answer_tokens, stop) for talk in batch] for batch in batches]
    bodies = [[body(talk) for talk in batch] for batch in batches]
    to_us, to_them = iter(bodies), iter(requests)
    our_tokens: list[int] = []
    their_tokens: list[int] = []
    with worker(bench) as url:
        ask_together(url, bench.loaded.name, [body(bench.talks.cold())], 2)
        ours, theirs = bench.by_turns(
            lambda: _counted(
                ask_together(url, bench.loaded.name, next(to_us), plan.answer_tokens), our_tokens
            ),
            lambda: _counted(read_together(bench.engine, next(to_them)), their_tokens),
        )
    return _compared(what, against, (ours, our_tokens), (theirs, their_tokens), Bar(0.90, 0.97))


def transformers_serve(bench: Bench) -> Row:
    """Eight clients of the worker against the same eight of `transformers serve`, with the same weights."""
    plan = bench.plan
    what, against = f"{plan.num_streams} clients over HTTP, in total", "`transformers serve`"
    bodies = [[body(talk) for talk in batch] for batch in _batches(bench)]
    to_us, to_them = iter(bodies), iter(bodies)
    our_tokens: list[int] = []
    their_tokens: list[int] = []
    with tempfile.TemporaryDirectory(prefix="bench-hf-") as folder:
        model = str(apart(lambda: _hf_layout(bench, Path(folder))))
        try:
            with worker(bench) as url, _served_by_transformers(model) as their_url:
                for base_url, name in ((url, bench.loaded.name), (their_url, model)):
                    ask_together(base_url, name, [body(bench.talks.cold())], 2)
                ours, theirs = bench.by_turns(
                    lambda: _counted(
                        ask_together(url, bench.loaded.name, next(to_us), plan.answer_tokens), our_tokens
                    ),
                    lambda: _counted(
                        ask_together(their_url, model, next(to_them), plan.answer_tokens), their_tokens
                    ),
                )
        except PeerFailed as error:
            return Row.left_out(what, against, " ".join(str(error).split()))
    return _compared(what, against, (ours, our_tokens), (theirs, their_tokens), Bar(2.5, 4.0))


def _hf_layout(bench: Bench, folder: Path) -> Path:
    return write_hf_layout(transformers_model(str(bench.folder), bench.loaded), bench.loaded, folder)


@contextlib.contextmanager
def worker(bench: Bench) -> Iterator[str]:
    """Our worker on the same folder; yields its base URL."""
    port = free_port()
    command = [sys.executable, "-m", "model.worker", "--model", str(bench.folder), "--port", str(port)]
    with serving(command, says(f"http://127.0.0.1:{port}/health", "state", "ready")):
        yield f"http://127.0.0.1:{port}/v1"


@contextlib.contextmanager
def _served_by_transformers(model: str) -> Iterator[str]:
    port = free_port()
    program = os.path.join(os.path.dirname(sys.executable), "transformers")
    command = [program, "serve", model, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    command += ["--dtype", "float32"]
    with serving(command, says(f"http://127.0.0.1:{port}/health", "status", "ok")):
        yield f"http://127.0.0.1:{port}/v1"


def _batches(bench: Bench) -> list[list]:
    return [[bench.talks.cold() for _ in range(bench.plan.num_streams)] for _ in bench.each_round()]


def _counted(answers: list[Timed], num_tokens: list[int]) -> float:
    """How long they took together; how many tokens they have is noted."""
    num_tokens.append(sum(answer.num_tokens for answer in answers))
    return seconds(answers)


def _compared(
    what: str,
    against: str,
    ours: tuple[list[float], list[int]],
    theirs: tuple[list[float], list[int]],
    bar: Bar,
) -> Row:
    """Only where both sides wrote equally many tokens: shorter answers would make a side look fast."""
    if ours[1] != theirs[1]:
        why = f"the answers have {sum(ours[1])} tokens here and {sum(theirs[1])} there, which is not the same work"
        return Row.left_out(what, against, why)
    return Row.paired(what, against, "s", ours[0], theirs[0], bar, upside_down=True)
