"""A copy of database and pictures that fit each other, made while people go on writing, and how it is put back.

Pictures come and go only inside transactions that write. So most are copied first, without stopping anybody; then,
under the lock that writers take, those that came meanwhile, and the view of the database begins in which they are
all there. The database itself, which takes longest, is copied from that view while others write on.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from sqlalchemy import func, make_url, select, text
from sqlalchemy.orm import Session

from conversations import postgresql_tools
from conversations.database import Database
from conversations.errors import BackupRefused, CorruptDatabase, PictureMissing
from conversations.image_store import ImageStore
from conversations.new_folder import new_folder, told
from conversations.tables import ConversationRow, PictureRow, TurnRow

SQLITE_NAME = "chats.db"
POSTGRESQL_NAME = "chats.dump"
ABOUT_NAME = "backup.json"
PICTURES_NAME = "pictures"


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """What is in a backup. `missing_pictures` had no file in the log either; they are named, and nothing else is."""

    made_at: str
    database: str
    num_conversations: int
    num_turns: int
    num_pictures: int
    missing_pictures: tuple[str, ...]


class Backup:
    """The store's calls for it."""

    def __init__(self, database: Database, images: ImageStore) -> None:
        self._database = database
        self._images = images

    def make(self, folder: Path) -> BackupSummary:
        """A folder that is there whole or not at all. Raises BackupRefused if there is something in its place,
        UnwritableFolder, DiskFull."""
        if folder.exists() or folder.is_symlink():
            raise BackupRefused(
                f"There is something in {folder} already; name a folder that is not there yet."
            )
        postgresql = self._database.url.get_backend_name() == "postgresql"
        with new_folder(folder) as part:
            copies = _Copies(self._images, part / PICTURES_NAME)
            with self._database.reading() as session:
                earlier = session.scalars(_SHA256S).all()
            copies.take(earlier)
            with self._database.reading() as view:
                with self._database.writing() as session:
                    if postgresql:
                        session.execute(text("LOCK TABLE pictures IN SHARE MODE"))
                    there = view.scalars(_SHA256S).all()  # the view begins here
                    copies.take(there)
                if postgresql:
                    snapshot = view.scalar(text("SELECT pg_export_snapshot()"))
                    postgresql_tools.dump(self._database.url, part / POSTGRESQL_NAME, str(snapshot))
                else:
                    driver = view.connection().connection.driver_connection
                    _copy_sqlite(cast(sqlite3.Connection, driver), part / SQLITE_NAME)
                copies.keep_only(there)
                summary = _summary(view, postgresql, copies.taken, there)
            (part / ABOUT_NAME).write_text(json.dumps(asdict(summary), indent=1) + "\n", encoding="utf-8")
        return summary


def restore(backup: Path, database_url: str, image_folder: Path) -> BackupSummary:
    """Put a backup where no log is yet: into a new file, or an empty PostgreSQL database. Raises BackupRefused, and
    leaves what is there as it is."""
    summary = _read_about(backup)
    url = make_url(database_url)
    postgresql = url.get_backend_name() == "postgresql"
    if postgresql != (summary.database == "postgresql"):
        raise BackupRefused(
            f"This is a backup of a {summary.database} database; name one of that kind with --database-url."
        )
    if image_folder.exists() and any(image_folder.iterdir()):
        raise BackupRefused(f"There are pictures in {image_folder} already; move them away first.")
    target = Path(str(url.database))
    if not postgresql and target.exists():
        raise BackupRefused(f"There is a database {target} already; move it away first.")
    with told(image_folder.parent):
        image_folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copytree(backup / PICTURES_NAME, image_folder, dirs_exist_ok=True)
    if postgresql:
        postgresql_tools.restore(url, backup / POSTGRESQL_NAME)
    else:
        _put_sqlite(backup / SQLITE_NAME, target)
    return summary


_SHA256S = select(PictureRow.sha256).order_by(PictureRow.sha256)


class _Copies:
    """Pictures that were copied so far, laid out as in the store."""

    def __init__(self, images: ImageStore, folder: Path) -> None:
        self._images = images
        self._folder = folder
        self.taken: dict[str, Path] = {}
        folder.mkdir(mode=0o700)

    def take(self, sha256s: Iterable[str]) -> None:
        for sha256 in sha256s:
            if sha256 in self.taken:
                continue
            with suppress(PictureMissing, FileNotFoundError):
                stored = self._images.path(sha256)
                copy = self._folder / stored.relative_to(self._images.folder)
                copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.copyfile(stored, copy)
                self.taken[sha256] = copy

    def keep_only(self, sha256s: Iterable[str]) -> None:
        """Those of conversations that were deleted while they were copied do not stay in the backup."""
        for sha256 in set(self.taken) - set(sha256s):
            self.taken.pop(sha256).unlink()


def _summary(
    view: Session, postgresql: bool, taken: Mapping[str, Path], there: Sequence[str]
) -> BackupSummary:
    return BackupSummary(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        database="postgresql" if postgresql else "sqlite",
        num_conversations=view.scalar(select(func.count()).select_from(ConversationRow)) or 0,
        num_turns=view.scalar(select(func.count()).select_from(TurnRow)) or 0,
        num_pictures=len(taken),
        missing_pictures=tuple(sha256 for sha256 in there if sha256 not in taken),
    )


def _copy_sqlite(source: sqlite3.Connection, path: Path) -> None:
    """From the transaction that the source is in, as one file without a log beside it, and looked over: a backup
    that cannot be read is none."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        said = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        raise CorruptDatabase(f"The database is damaged ({said}); no backup was made. Use an earlier one.")


def _put_sqlite(copy: Path, target: Path) -> None:
    """Under its name only when it is whole."""
    with told(target.parent):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        os.close(descriptor)
        try:
            shutil.copyfile(copy, part)
            os.link(part, target)  # fails where a log has come into being meanwhile
        except FileExistsError as error:
            raise BackupRefused(f"There is a database {target} already; move it away first.") from error
        finally:
            os.unlink(part)


def _read_about(backup: Path) -> BackupSummary:
    try:
        values = json.loads((backup / ABOUT_NAME).read_text(encoding="utf-8"))
        return BackupSummary(**{**values, "missing_pictures": tuple(values["missing_pictures"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackupRefused(f"{backup} is no backup: its {ABOUT_NAME} cannot be read ({error}).") from error
