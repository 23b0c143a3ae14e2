"""Read a LLaVA training JSON into the library: python -m scripts.import_training_json FILE.json --images FOLDER

The whole file is looked through first, and nothing is kept of one that has a fault. Every record becomes a
conversation of --owner, with a tag that names the file by its bytes, so that importing it twice is noticed. See
docs/training_json.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from app.settings import SQLITE, Settings
from conversations.errors import LogError
from conversations.formats.contents import IMAGE_FOLDER
from conversations.importing import ImportTally, import_file
from conversations.store import ConversationStore
from conversations.training_json import MAX_FAULTS, PictureFolder, faults


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with a sentence for each fault."""
    arguments = _arguments(argv)
    try:
        return _import(arguments)
    except (LogError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _import(arguments: argparse.Namespace) -> int:
    images: Path = arguments.images or _beside(arguments.file)
    if not images.is_dir():
        raise LogError(f"There is no folder {images}; name the folder of the pictures with --images.")
    pictures = PictureFolder(images)
    num_records, wrong = faults(arguments.file, pictures)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        more = "; there may be more" if len(wrong) == MAX_FAULTS else ""
        print(f"{len(wrong)} faults{more}. Nothing was imported.", file=sys.stderr)
        return 1
    tag = f"import-{_digest(arguments.file)[:12]}"
    settings = Settings(database_url=arguments.database_url)
    store = ConversationStore.open(arguments.database_url, settings.data_folder / "pictures")
    try:
        before = store.history.tags(arguments.owner).get(tag, 0)
        if before and arguments.first == 1 and not arguments.again:
            raise LogError(
                f"{before} of {arguments.owner}'s conversations are from this very file (tag {tag}). Go on after them "
                f"with --first {before + 1}, or import all of it once more with --again."
            )
        tally = import_file(
            store,
            arguments.owner,
            arguments.file,
            pictures,
            tag=tag,
            first=arguments.first,
            on_progress=_show if sys.stderr.isatty() else None,
        )
    finally:
        store.close()
    _report(tally, num_records, tag)
    return 0


def _beside(file: Path) -> Path:
    """Where our own exports have their pictures; else where the file lies."""
    folder = file.parent / IMAGE_FOLDER
    return folder if folder.is_dir() else file.parent


def _show(tally: ImportTally) -> None:
    print(f"\r{tally.num_conversations} records ", end="", file=sys.stderr, flush=True)


def _report(tally: ImportTally, num_records: int, tag: str) -> None:
    print(
        f"{tally.num_conversations} of {num_records} records imported: {tally.num_answers} answers, "
        f"{len(tally.pictures)} pictures, tag {tag}"
    )
    if tally.num_moved:
        print(f"  in {tally.num_moved} questions the picture was moved before the text")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.import_training_json",
        description="Read a LLaVA training JSON into the library.",
    )
    parser.add_argument("file", type=Path, metavar="FILE.json")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="the pictures (default: images/ beside the file, or where it lies)",
    )
    parser.add_argument("--owner", required=True, metavar="NAME", help="whose conversations they become")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="begin with this record")
    parser.add_argument("--again", action="store_true", help="also if this file was imported before")
    parser.add_argument(
        "--database-url", default=Settings.database_url, metavar="URL", help=f"{SQLITE}PATH or other"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
