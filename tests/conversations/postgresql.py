"""A PostgreSQL server for tests: the one that the environment names, or one that is started from what is installed.

`LLAVA_LOOP_TEST_POSTGRES_URL` names one, as postgresql+psycopg://user@host/postgres; its user must be allowed to make
databases. Else the newest installed server is started in a folder of its own, on a socket in it, for as long as the
tests run. Durability is off: these tests ask what is stored, and a server that is killed is a test of PostgreSQL.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "LLAVA_LOOP_TEST_POSTGRES_URL"
WHY_NOT = (
    f"no PostgreSQL: {VARIABLE} names no server and none is installed (Debian: apt-get install postgresql)"
)


@contextmanager
def postgresql_server() -> Iterator[str | None]:
    """The URL of a server's own database; None where there is no server to be had."""
    if url := os.environ.get(VARIABLE):
        yield url
    elif (programs := _programs()) is None:
        yield None
    else:
        with _started(programs) as url:
            yield url


def _programs() -> Path | None:
    """The folder with initdb and postgres. Debian keeps them off the PATH."""
    folders = [
        path.parent
        for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")
        if path.parent.parent.name.isdigit()
    ]
    folders.sort(key=lambda folder: int(folder.parent.name))
    if (found := shutil.which("initdb")) is not None:
        folders.append(Path(found).resolve().parent)
    return folders[-1] if folders else None


@contextmanager
def _started(programs: Path) -> Iterator[str]:
    # A socket's path has at most 107 characters, and a test's folder may have more.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    user = _somebody_else()
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        _run(
            [programs / "initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync"],
            user,
            folder,
        )
        options = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"
        options += f" -c listen_addresses= -c unix_socket_directories={folder}"
        _run(
            [
                programs / "pg_ctl",
                "-D",
                data,
                "-w",
                "-t",
                "300",
                "-l",
                folder / "log",
                "-o",
                options,
                "start",
            ],
            user,
            folder,
        )
        try:
            yield f"postgresql+psycopg://test@/postgres?host={folder}"
        finally:
            _run(
                [programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "-t", "300", "stop"], user, folder
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _somebody_else() -> str | None:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _run(command: list[str | Path], user: str | None, folder: Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        user=user,
        cwd=folder,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        stdout=subprocess.DEVNULL,  # a pipe would be held open by the server that is started
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=400,
    )
    if done.returncode:
        log = folder / "log"
        said = log.read_text(errors="replace")[-1000:] if log.exists() else ""
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {said}")
