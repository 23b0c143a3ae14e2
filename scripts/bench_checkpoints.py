"""Measure how checkpoints are loaded: python -m scripts.bench_checkpoints [precision] [memory]

precision   the shipped model at 32, 16, 8 and 4 bits: its size, how long it loads, how many of its tokens are those of
            float32, and how much of the drawn world it gets right. The table in docs/checkpoints.md.
memory      a random model of 2 GB in four shards, in several formats: the most memory that a process that loads it, and
            the worker, ever holds, beside the limit of 1.2 times the weights as loaded and 1 GB. Exit status 1 where
            one is over it.

The random model is made in a temporary folder (6 GB) and removed again; --folder keeps it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.checkpoint_bench.memory import load_and_tell, measure_peaks
from scripts.checkpoint_bench.precision import measure_precisions
from scripts.checkpoint_bench.random_checkpoint import DEMO


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables asked for, by default both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="precision|memory", help="which tables (default: both)")
    parser.add_argument("--model", type=Path, default=DEMO, help="whose precision is measured (%(default)s)")
    parser.add_argument(
        "--questions-per-kind", type=int, default=150, help="of the drawn world (%(default)s)"
    )
    parser.add_argument("--folder", type=Path, help="where the random model is made and kept")
    parser.add_argument("--load", nargs=2, metavar=("FOLDER", "OPTIONS"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.load:
        load_and_tell(args.load[0], json.loads(args.load[1]))
        return 0
    unknown = set(args.what) - {"precision", "memory"}
    if unknown:
        parser.error(f"there is no table {sorted(unknown)}; choose precision or memory")
    what, too_much = args.what or ["precision", "memory"], False
    if "precision" in what:
        print(
            "| format | weights in memory | load time | tokens as float32 | drawn world right |\n|---|---|---|---|---|"
        )
        for precision in measure_precisions(args.model, args.questions_per_kind):
            print(precision.line(), flush=True)
    if "memory" in what:
        print(
            "| format | weights as loaded | peak of the process | limit | load time |\n|---|---|---|---|---|"
        )
        with tempfile.TemporaryDirectory() as temporary:
            for peak in measure_peaks(args.folder or Path(temporary)):
                print(peak.line(), flush=True)
                too_much = too_much or peak.peak > peak.limit
    return int(too_much)


if __name__ == "__main__":
    sys.exit(main())
