"""Make a data set of the log: python -m scripts.export_training_json --format llava --out DIR

    --format   llava (default), messages, parquet, axolotl, preference, kto
    --check N  write nothing; show row N as a trainer will see it, and which tokens it will learn
    --again F  the same export again, from the manifest.json of an earlier one (or a stored selection), which no flag
               changes; files that are not what they were are named

Filters are those of the library (--rating up --state approved …), and mean the same there. See
docs/training_json.md for what is written and for what is left out.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from app.settings import SQLITE, Settings
from conversations.errors import LogError
from conversations.export import export
from conversations.filters import Filters
from conversations.formats import DEFAULT_FORMAT, FORMATS
from conversations.formats.format import Format, Options
from conversations.manifest import REASONS, Manifest, Tally
from conversations.preview import PreviewRow, learned, preview
from conversations.selection import SIDES, Selection
from conversations.store import ConversationStore

ROOT = Path(__file__).resolve().parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with one sentence on what is wrong."""
    arguments = _arguments(argv)
    try:
        order = _order(arguments)
        store = _open_store(arguments.database_url)
        try:
            if arguments.check is not None:
                return _check(store, order, arguments.check, arguments.checkpoint)
            return _export(store, order, arguments.out, arguments.copy_pictures)
        finally:
            store.close()
    except (LogError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


class _Order(NamedTuple):
    """What is to be written; `before` is the export that is made again."""

    format: Format
    options: Options
    selection: Selection
    before: Manifest | None = None


def _export(store: ConversationStore, order: _Order, out: Path, copy: bool) -> int:
    on_terminal = sys.stderr.isatty()

    def show(tally: Tally) -> None:
        print(f"\r{tally.line} ", end="", file=sys.stderr, flush=True)

    selection = store.reader.closed(order.selection)
    with closing(store.reader.conversations(selection.filters, selection.last_turn)) as conversations:
        manifest = export(
            conversations,
            store.images,
            out,
            order.format,
            selection,
            options=order.options,
            copy_pictures=copy,
            on_progress=show if on_terminal else None,
        )
    if on_terminal:
        print(file=sys.stderr)
    _report(manifest, out)
    if order.before is not None and (difference := manifest.difference(order.before)) is not None:
        print(difference, file=sys.stderr)
    about = {"format": manifest.format, "selection": selection.to_dict()}
    store.curation.note_export(_actor(), sum(manifest.counts["rows"].values()), about)
    return 0


def _actor() -> str:
    """Who stands in the trail with it; those of the page have a `user:` before their names."""
    try:
        return f"{getpass.getuser()} at the command line"
    except (KeyError, OSError):  # a container's user may have no name
        return "the command line"


def _report(manifest: Manifest, out: Path) -> None:
    counts = manifest.counts
    rows = ", ".join(f"{counts['rows'][side]} {side}" for side in SIDES)
    print(f"{out}: {manifest.format}, {rows}; {counts['answers']} answers, {counts['pictures']} pictures")
    for reason, number in counts["left_out"].items():
        print(f"  left out {number}: {REASONS[reason]}")
    if shortened := sum(counts["shortened"].values()):
        print(f"  {shortened} conversations go up to the answer before a bad one")
    for sha256 in counts["missing_pictures"]:
        print(f"  the file of picture {sha256} is missing", file=sys.stderr)


def _check(store: ConversationStore, order: _Order, number: int, checkpoint: str) -> int:
    format, options, selection, _ = order
    with closing(store.reader.conversations(selection.filters, selection.last_turn)) as conversations:
        found = preview(
            conversations, store.images, format, selection, options=options, start=number - 1, count=1
        )
    if not found:
        print(f"There is no row {number} in this export; give a smaller number.", file=sys.stderr)
        return 1
    from model.checkpoint import CheckpointError

    try:
        _show_row(found[0], number, checkpoint)
    except CheckpointError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _show_row(row: PreviewRow, number: int, checkpoint: str) -> None:
    """The row itself, then each text that is made of it, then its tokens: what is learned between ⟦ and ⟧."""
    from model.checkpoint import load
    from model.prompt import render
    from model.token_pieces import token_pieces

    loaded = load(checkpoint, device="cpu")
    print(f"Row {number}, {row.side}:\n{json.dumps(row.row, ensure_ascii=False, indent=2)}\n")
    for name, messages in learned(row.item):
        prompt = render(
            loaded.template,
            messages,
            loaded.tokenizer,
            num_patches=loaded.num_patches,
            image_token_id=loaded.image_token_id,
            system=row.item.system or None,
            open_turn=False,
            image_wrap=loaded.image_wrap,
        )
        mask = prompt.loss_mask if name == "example" else _last_answer_alone(prompt.loss_mask)
        pieces = token_pieces(loaded.tokenizer, prompt.input_ids)
        shown = [
            "" if token_id == loaded.image_token_id else piece
            for token_id, piece in zip(prompt.input_ids, pieces, strict=True)
        ]
        print(f"As {loaded.template.name} of {loaded.name} ({name}):\n{prompt.text}\n")
        print(f"Learned, between ⟦ and ⟧ (pictures left out):\n{_bracketed(shown, mask)}\n")
        num_image = prompt.input_ids.count(loaded.image_token_id)
        print(
            f"{len(prompt.input_ids)} tokens, {sum(mask)} of them learned, {num_image} image tokens for "
            f"{len(prompt.images)} pictures; the model holds {loaded.context_tokens}"
        )
        for place, (token_id, piece, is_learned) in enumerate(
            zip(prompt.input_ids, pieces, mask, strict=True)
        ):
            if token_id != loaded.image_token_id:
                print(f"{place:6} {token_id:7} {'learned' if is_learned else '       '} {piece!r}")
        print()


def _last_answer_alone(mask: Sequence[bool]) -> list[bool]:
    """Only the last stretch of what is learned: the answers before it are context."""
    end = len(mask)
    while end and not mask[end - 1]:
        end -= 1
    start = end
    while start and mask[start - 1]:
        start -= 1
    return [start <= place < end for place in range(len(mask))]


def _bracketed(pieces: Sequence[str], mask: Sequence[bool]) -> str:
    text, inside = "", False
    for piece, is_learned in zip(pieces, mask, strict=True):
        if is_learned != inside:
            text += "⟦" if is_learned else "⟧"
            inside = is_learned
        text += piece
    return text + ("⟧" if inside else "")


_DECIDED_BY_SELECTION = (
    *(field.name for field in fields(Filters)),
    *("validation", "test", "seed", "no_masking"),
)
_DECIDED_BY_MANIFEST = (*_DECIDED_BY_SELECTION, "format", "several_pictures")


def _order(arguments: argparse.Namespace) -> _Order:
    """From the flags, or from a stored export. Raises LogError, OSError."""
    format, options = FORMATS[arguments.format or DEFAULT_FORMAT], Options(bool(arguments.several_pictures))
    if arguments.again is not None:
        text = arguments.again.read_text(encoding="utf-8")
        if '"schema_version"' in text:
            return _again(arguments, Manifest.from_json(text))
        _refuse_given(arguments, _DECIDED_BY_SELECTION)
        return _Order(format, options, Selection.from_json(text))
    given = {field.name: getattr(arguments, field.name) for field in fields(Filters)}
    filters = Filters.from_json({name: value for name, value in given.items() if value is not None})
    shares = arguments.validation or 0.0, arguments.test or 0.0
    selection = Selection(filters, *shares, arguments.seed or 0, mask_personal_data=not arguments.no_masking)
    return _Order(format, options, selection)


def _again(arguments: argparse.Namespace, manifest: Manifest) -> _Order:
    _refuse_given(arguments, _DECIDED_BY_MANIFEST)
    if manifest.format not in FORMATS:
        raise LogError(f"The manifest's format {manifest.format!r} is not one of {', '.join(FORMATS)}.")
    options = Options(manifest.several_pictures)
    return _Order(FORMATS[manifest.format], options, manifest.selection, manifest)


def _refuse_given(arguments: argparse.Namespace, decided: Sequence[str]) -> None:
    """A flag that says something else than the file would be passed over without a word."""
    given = [f"--{name.replace('_', '-')}" for name in decided if getattr(arguments, name) is not None]
    if given:
        raise LogError(
            f"{' and '.join(given)} cannot go with --again: {arguments.again} decides that. Leave out the one or "
            "the other."
        )


def _open_store(database_url: str) -> ConversationStore:
    """Nothing is made here: a mistyped name should not look like an empty log."""
    path = Path(database_url.removeprefix(SQLITE))
    if database_url.startswith(SQLITE) and not path.is_file():
        raise LogError(f"There is no database {path}; name the one of your log with --database-url.")
    settings = Settings(database_url=database_url)
    return ConversationStore.open(database_url, settings.data_folder / "pictures")


def _row_number(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"rows are counted from 1, not {number}")
    return number


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"give yes or no, not {text!r}")
    return text == "yes"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.export_training_json",
        description=(__doc__ or "").split(":")[0] + ".",
        epilog="\n".join(f"{each.name}: read by {each.read_by}" for each in FORMATS.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--format", choices=list(FORMATS), help=f"default: {DEFAULT_FORMAT}")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="a new folder")
    what.add_argument("--check", type=_row_number, metavar="N", help="show row N and what is learned of it")
    parser.add_argument("--again", type=Path, metavar="FILE", help="manifest.json of an earlier export")
    parser.add_argument(
        "--several-pictures", action="store_true", default=None, help="llava: `image` may be a list"
    )
    parser.add_argument("--copy-pictures", action="store_true", help="copies, not links to the stored files")
    parser.add_argument("--validation", type=float, metavar="SHARE", help="0.1 is a tenth")
    parser.add_argument("--test", type=float, metavar="SHARE")
    parser.add_argument("--seed", type=int, help="deals the pictures out anew")
    parser.add_argument("--no-masking", action="store_true", default=None, help="leave personal data in")
    parser.add_argument("--checkpoint", default=str(ROOT / "model/demo"), help="whose tokens --check shows")
    parser.add_argument("--database-url", default=Settings.database_url, metavar="URL")
    filters = parser.add_argument_group("filters")
    for field in fields(Filters):
        more: dict[str, Any] = {"metavar": "VALUE"}
        if "bool" in str(field.type):
            more = {"metavar": "yes|no", "type": _yes_or_no}
        filters.add_argument(f"--{field.name.replace('_', '-')}", **more)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
