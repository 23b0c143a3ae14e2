"""Draw a data set of the drawn world: python -m scripts.draw_dataset --out DIR --samples 400

LLaVA's training JSON (DIR/train.json) and its pictures (DIR/images), for `python -m scripts.train` or any trainer that
reads that format. Mixed into what people corrected, it keeps the shipped model from forgetting the world it knows.

    --kind conversations   as in stage 2 (default)
    --kind captions        as in stage 1

Equal flags draw equal data.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from conversations.errors import LogError
from scripts.demo_world import data_set


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with one sentence on what is wrong."""
    args = _arguments(argv)
    if args.out.exists():
        print(
            f"There is something at {args.out} already; name another folder, or remove it.", file=sys.stderr
        )
        return 1
    if args.kind == "captions":
        samples = data_set.captions(args.samples, args.first)
    else:
        samples = data_set.conversations(args.samples, args.first, args.fewest_exchanges)
    try:
        written = data_set.write(args.out, samples, args.picture_size)
    except LogError as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"{written.file}: {written.num_samples:,} samples with {written.num_answers:,} answers about "
        f"{written.num_pictures:,} pictures"
    )
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--kind", choices=("conversations", "captions"), default="conversations")
    parser.add_argument("--samples", type=_count, default=400, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first, for other samples (0)")
    parser.add_argument(
        "--fewest-exchanges", type=_count, default=data_set.FEWEST_EXCHANGES,
        help="of a conversation; up to three more come (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--picture-size", type=_count, default=240, help="pixels a side (%(default)s)")
    args = parser.parse_args(argv)
    if args.first < 0:
        parser.error(f"--first is 0 or more, not {args.first}")
    return args


def _count(text: str) -> int:
    """A whole number from 1; argparse tells the flag's name."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"is 1 or more, not {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
