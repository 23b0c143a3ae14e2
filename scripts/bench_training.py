"""Measure the trainer beside a plain transformers one: python -m scripts.bench_training

Prints one table (Markdown): trained tokens a second and the peak of memory, of our trainer and of a plain `Trainer`
with `LlavaForConditionalGeneration`, its processor and padded batches, on the same samples, the same trained tokens,
batch size and optimiser. Sides take turns, each run in a process of its own. Kept in docs/benchmarks_training.md.

`--features` measures instead what keeping the tower's features brings: our trainer with and without it, in one to three
epochs.

On a machine with other work `--processor-time` counts what each side computes; OMP_NUM_THREADS=1 goes with it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from model import checkpoint
from model.training.config import DataSource, TrainingConfig
from model.training.recipes import config_for
from scripts.engine_bench import machine
from scripts.engine_bench.random_model import SMALL, TINY, write_random_model
from scripts.engine_bench.row import Bar, Row, head, line
from scripts.training_bench.conversations import PICTURE_SHARE, write_conversations

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ("finetune", "lora")
AGAINST = "plain `Trainer`"
SPEED = Bar(1.5, 2.0)
FEATURE_EPOCHS = (1, 2, 3)
Side = Literal["ours", "plain"]


@dataclass(frozen=True, slots=True)
class Size:
    """A model and how much of training is measured on it."""

    title: str
    num_samples: int
    batch_size: int
    micro_batch_size: int
    rounds: int
    num_epochs: int
    picture_side: int


SIZES = {
    "demo": Size("the shipped model", 160, 16, 4, 3, 3, 160),
    "random": Size("a random LLaVA of 139M parameters, 576 patches a picture", 16, 8, 4, 1, 2, 640),
    "tiny": Size("a tiny random model: it shows that the script runs, and nothing else", 12, 4, 2, 1, 2, 64),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the machine and the table."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench_training", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--models", default="demo,random", help=f"of {','.join(SIZES)}; default: %(default)s")
    parser.add_argument("--recipes", default=",".join(RECIPES), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=0, help="of each; default: 3 of demo, 1 of random")
    parser.add_argument("--samples", type=int, default=0, help="default: 160 of demo, 16 of random")
    parser.add_argument("--processor-time", action="store_true", help="instead of the time that passes")
    parser.add_argument("--features", action="store_true", help="measure only what keeping features brings")
    chosen = parser.parse_args(argv)
    models, recipes = chosen.models.split(","), chosen.recipes.split(",")
    for given, known in ((models, SIZES), (recipes, RECIPES)):
        for name in given:
            if name not in known:
                parser.error(f"there is no {name!r}; choose from {', '.join(known)}")
    if chosen.rounds < 0 or chosen.samples < 0:
        parser.error("--rounds and --samples are at least 1")
    disable_progress_bar()
    set_verbosity_error()
    print(machine.describe(), flush=True)
    print(
        f"- {'processor time' if chosen.processor_time else 'time that passes'}\n\n"
        f"{head(with_bars=not chosen.features)}",
        flush=True,
    )
    for model in models:
        size = SIZES[model]
        rounds, number = chosen.rounds or size.rounds, chosen.samples or size.num_samples
        with tempfile.TemporaryDirectory(prefix="bench-training-") as parent:
            folder, data = _prepared(model, size, number, Path(parent))
            for recipe in recipes:
                config = _config(recipe, size, folder, data)
                rows = _feature_rows if chosen.features else _rows
                for row in rows(size, config, Path(parent), rounds, processor_time=chosen.processor_time):
                    print(line(row, with_bars=not chosen.features), flush=True)
    return 0


def _prepared(model: str, size: Size, number: int, parent: Path) -> tuple[Path, Path]:
    """The checkpoint's folder and the training JSON."""
    if model == "demo":
        folder = ROOT / "model" / "demo"
    else:
        folder = write_random_model(parent / model, SMALL if model == "random" else TINY)
    tokenizer = checkpoint.load(str(folder), device="cpu").tokenizer
    return folder, write_conversations(parent / "data", tokenizer, number, picture_side=size.picture_side)


def _config(recipe: Any, size: Size, folder: Path, data: Path) -> TrainingConfig:
    return config_for(
        recipe, str(folder), (DataSource(str(data)),), num_epochs=float(size.num_epochs),
        batch_size=size.batch_size, micro_batch_size=size.micro_batch_size, held_out_share=0.0, device="cpu",
        learning_rate=2e-4, projector_learning_rate=None, warmup_share=0.0,
    )  # fmt: skip


def _rows(
    size: Size, config: TrainingConfig, parent: Path, rounds: int, *, processor_time: bool
) -> list[Row]:
    ours_and_plain = _by_turns((("ours", config), ("plain", config)), parent, rounds)
    ours, plain = (_rates(runs, processor_time=processor_time) for runs in ours_and_plain)
    one, other = (runs[0] for runs in ours_and_plain)
    what = f"`{config.recipe}`, {size.title}"
    note = (
        f"{one['num_trained']:.0f} trained of {one['num_read']:.0f} tokens in {config.num_epochs:.0f} epochs, "
        f"{PICTURE_SHARE:.0%} with a picture; batches of {config.batch_size} by {config.micro_batch_size}; last "
        f"epoch's loss {one['loss']:.3f}, theirs {other['loss']:.3f}"
    )
    mine, theirs = (median(run["peak_bytes"] for run in runs) / 1e6 for runs in ours_and_plain)
    return [
        Row.paired(f"trained tokens a second: {what}", AGAINST, "tokens/s", ours, plain, SPEED, note),
        Row(
            f"peak memory: {what}", AGAINST, f"{mine:.0f} MB", f"{theirs:.0f} MB",
            mine / theirs, bar=Bar(1.0, 0.8, most=True), note="resident, libraries included",
        ),
    ]  # fmt: skip


def _feature_rows(
    size: Size, config: TrainingConfig, parent: Path, rounds: int, *, processor_time: bool
) -> Iterator[Row]:
    """Our trainer with the tower's features in a file, and computed anew each time."""
    for num_epochs in FEATURE_EPOCHS:
        kept, anew = (
            replace(config, num_epochs=float(num_epochs), feature_cache=choice) for choice in ("on", "off")
        )
        both = _by_turns((("ours", kept), ("ours", anew)), parent, rounds)
        what = f"features kept, {num_epochs} epochs: `{config.recipe}`, {size.title}"
        ours, theirs = (_rates(runs, processor_time=processor_time) for runs in both)
        yield Row.paired(what, "computed each time", "tokens/s", ours, theirs, Bar(1.0, 1.0))


def _by_turns(
    sides: Sequence[tuple[Side, TrainingConfig]], parent: Path, rounds: int
) -> list[list[dict[str, float]]]:
    """What each side's runs told; who begins changes."""
    file = parent / "config.json"
    found: list[list[dict[str, float]]] = [[] for _ in sides]
    for turn in range(rounds):
        order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
        for place in order:
            side, config = sides[place]
            file.write_text(config.to_json(), encoding="utf-8")
            found[place].append(_measured(side, file))
    return found


def _rates(runs: Sequence[dict[str, float]], *, processor_time: bool) -> list[float]:
    """Trained tokens a second."""
    clock = "processor_seconds" if processor_time else "seconds"
    return [run["num_trained"] / run[clock] for run in runs]


def _measured(side: Side, config: Path) -> dict[str, float]:
    """One run. Raises RuntimeError with the end of what it said."""
    started = time.monotonic()
    command = [sys.executable, "-m", "scripts.training_bench.side", side, str(config)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr[-2000:]}")
    print(f"{side}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


if __name__ == "__main__":
    raise SystemExit(main())
