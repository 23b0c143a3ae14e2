"""Examine a checkpoint on the drawn world: at least 2,000 questions about scenes that training never saw.

python -m scripts.evaluate_demo --model model/demo
"""

from __future__ import annotations

import argparse
from pathlib import Path

from model.checkpoint import load
from scripts.demo_world.candidate import answer_all
from scripts.demo_world.examination import ALL_KINDS, mark, questions, score, table


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=Path, default=Path("model/demo"), help="checkpoint folder (%(default)s)"
    )
    parser.add_argument("--questions-per-kind", type=int, default=150, help="of each kind (%(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (%(default)s)")
    parser.add_argument("--mistakes", type=int, default=0, help="print this many wrong answers of each kind")
    args = parser.parse_args(argv)
    loaded = load(args.model, device=args.device)
    asked = list(questions(args.questions_per_kind))
    answers = answer_all(loaded, asked)
    for kind in ALL_KINDS if args.mistakes else ():
        wrong = [(q, a) for q, a in zip(asked, answers, strict=True) if q.kind == kind and score(q, a) < 1]
        for question, answer in wrong[: args.mistakes]:
            print(
                f"{kind}: {question.exchange.question}\n    said  {answer}\n    right {question.exchange.answer}"
            )
    print(table(mark(asked, answers)))


if __name__ == "__main__":
    main()
