"""Prove that the loop closes: python -m scripts.prove_loop

The real page is opened in a headless Chromium and asked about pictures in colours that the shipped model was never
taught (scripts/loop_proof/skill.py). It answers wrongly. A person corrects answers in the library, presses Start in the
training view, watches the run, presses "Chat with it", and asks about new pictures. The first few questions and
corrections go through the controls that everybody has, click by click; the rest goes the same ways in numbers:
questions over the page's own line to the program, corrections by the log's own calls.

Asked before and after: the same questions about new pictures, and questions of all kinds about the world that the model
knew, which must not be forgotten. Exit status 1, with the number, where an aim is missed.

    --write-docs         the table and the curve also go to docs/loop/
    --keep               leave the run in runs/ and the page's data where it is, for looking at them
    --set FIELD=VALUE    a setting of the recipe, as it is typed into the form
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from playwright.sync_api import Error as BrowserError

from conversations.errors import LogError
from scripts.loop_proof.asking import NotAnswered
from scripts.loop_proof.course import FIELDS, Plan, prove
from scripts.loop_proof.lesson import LessonFailed
from scripts.loop_proof.person import NoBrowser
from scripts.loop_proof.program import ProgramFailed
from scripts.loop_proof.proof import Proof

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "loop"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with what was missed or went wrong."""
    args = _arguments(argv)
    before = signal.signal(signal.SIGTERM, _end)
    folder = Path(tempfile.mkdtemp(prefix="loop-"))
    try:
        proof = prove(_plan(args), folder)
    except (ProgramFailed, NoBrowser, NotAnswered, LessonFailed, LogError, BrowserError) as error:
        print(f"The loop did not close: {error}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
        if args.keep:
            print(f"The page's data is in {folder}.")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{proof.table()}\n\n{proof.settings()}\n{proof.curve.numbers()}\n")
    if args.write_docs:
        write_docs(proof, DOCS)
    missed = list(proof.missed())
    for sentence in missed:
        print(sentence, file=sys.stderr)
    return 1 if missed else 0


def _end(number: int, frame: FrameType | None) -> None:
    """Told to end, the program that was started is ended too."""
    sys.exit(128 + number)


def write_docs(proof: Proof, folder: Path) -> None:
    """The table and the curve, for the README."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "curve.svg").write_text(proof.curve.svg("Loss of the run in make loop"), encoding="utf-8")
    text = f"""# The loop, measured

`make loop` on {_machine()}. What is asked, and when an answer counts as right: scripts/loop_proof/skill.py.

{proof.table()}

{proof.settings()}

![The loss curve](curve.svg)
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _machine() -> str:
    return f"{os.cpu_count()} cores ({platform.machine()}), without a GPU"


def _plan(args: argparse.Namespace) -> Plan:
    return Plan(
        model=args.model, recipe=args.recipe, num_corrections=args.corrections, num_questions=args.questions,
        num_of_old=args.old_questions, num_mixed=args.mixed, by_hand=args.by_hand,
        draw=args.draw, fields=dict(args.set),
        patience_seconds=args.patience, keep=args.keep,
    )  # fmt: skip


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    usual = Plan(Path("model/demo"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=usual.model, help="the base (%(default)s)")
    parser.add_argument("--recipe", choices=tuple(FIELDS), default=usual.recipe, help="(%(default)s)")
    for flag, default, about in (
        ("--corrections", usual.num_corrections, "answers that are corrected"),
        ("--questions", usual.num_questions, "questions asked before and after"),
        ("--old-questions", usual.num_of_old, "of each kind about the old world"),
        ("--mixed", usual.num_mixed, "conversations of the old world that are mixed in"),
        ("--draw", usual.draw, "which set of pictures: others are learned from, others asked about"),
        ("--by-hand", usual.by_hand, "questions typed and corrections clicked"),
    ):
        parser.add_argument(flag, type=int, default=default, help=f"{about} (%(default)s)")
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--patience", type=float, default=usual.patience_seconds, help="seconds for the run")
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--keep", action="store_true")
    return parser.parse_args(argv)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"has the form FIELD=VALUE, not {text!r}")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
