"""Copy database and pictures while the page runs: python -m scripts.backup_store --out backups/monday

    --restore backups/monday   put a copy back where no log is: into a new file, or an empty PostgreSQL database

Both take --database-url, as the page does; pictures lie where the page keeps them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from app.settings import SQLITE, Settings
from conversations.backup import BackupSummary, restore
from conversations.errors import BackupRefused, LogError
from conversations.store import ConversationStore


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with one sentence on what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.backup_store",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database-url", default=Settings.database_url, metavar="URL")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="make a copy in this new folder")
    what.add_argument("--restore", type=Path, metavar="DIR", help="put this copy back")
    arguments = parser.parse_args(argv)
    pictures = Settings(database_url=arguments.database_url).data_folder / "pictures"
    try:
        if arguments.restore is not None:
            summary = restore(arguments.restore, arguments.database_url, pictures)
            print(f"Put back: {_said(summary)}")
        else:
            summary = _made(arguments.database_url, pictures, arguments.out)
            print(f"{arguments.out}: {_said(summary)}")
    except LogError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _made(database_url: str, pictures: Path, out: Path) -> BackupSummary:
    path = Path(database_url.removeprefix(SQLITE))
    if database_url.startswith(SQLITE) and not path.is_file():
        raise BackupRefused(f"There is no database {path}; name the one of your log with --database-url.")
    store = ConversationStore.open(database_url, pictures)
    try:
        return store.backup.make(out)
    finally:
        store.close()


def _said(summary: BackupSummary) -> str:
    said = (
        f"{summary.num_conversations:,} conversations, {summary.num_turns:,} turns,"
        f" {summary.num_pictures:,} pictures, as of {summary.made_at}."
    )
    missing = summary.missing_pictures
    if missing:
        said += f" The files of {len(missing)} pictures were missing already: {', '.join(missing[:5])}."
    return said


if __name__ == "__main__":
    sys.exit(main())
