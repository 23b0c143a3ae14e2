"""PostgreSQL's own programs for backups, which know everything that is in a database. Passwords go through the
environment, since everybody on a machine can read a command line."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import URL

from conversations.errors import BackupRefused

DEBIAN = Path("/usr/lib/postgresql")


def dump(url: URL, path: Path, snapshot: str) -> None:
    """The database as it was when the snapshot was exported. Raises BackupRefused."""
    _run("pg_dump", url, ["--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={path}"])
    path.chmod(0o600)


def restore(url: URL, path: Path) -> None:
    """Into an empty database, whole or not at all. Raises BackupRefused."""
    _run("pg_restore", url, ["--no-owner", "--exit-on-error", "--single-transaction", str(path)])


def _run(name: str, url: URL, options: list[str]) -> None:
    # The driver's name is SQLAlchemy's; what is left is what libpq reads.
    plain = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = dict(os.environ)
    if url.password is not None:
        environment["PGPASSWORD"] = str(url.password)
    done = subprocess.run(
        [_program(name), f"--dbname={plain}", *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stderr.split())[-500:]
        raise BackupRefused(f"{name} ended with {done.returncode}: {said}")


def _program(name: str) -> str:
    """The newest installed one, since an older one refuses a newer server."""
    found = sorted(
        (path for path in DEBIAN.glob(f"*/bin/{name}") if path.parent.parent.name.isdigit()),
        key=lambda path: int(path.parent.parent.name),
    )
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        raise BackupRefused(
            f"{name} is not installed, which copies PostgreSQL databases (Debian: apt-get install postgresql-client)."
        )
    return program
