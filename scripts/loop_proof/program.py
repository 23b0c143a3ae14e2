"""The real program, `python app.py` with its own worker, on a free port and with a data folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 600.0


class ProgramFailed(Exception):
    """The program did not start, or ended by itself; the end of its log is in the sentence."""


@contextmanager
def program(folder: Path, model: Path) -> Iterator[str]:
    """The page's address, while it runs. Its database, pictures and logs lie in `folder`. Raises ProgramFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    held, port = _hold_a_free_port()
    log = folder / "page.log"
    command = [sys.executable, "app.py", "--port", str(port), "--model", str(model)]
    command += ["--database-url", database_url(folder)]
    with log.open("ab") as output:
        # A group of its own, so that Ctrl+C reaches this script first, which then ends the program in order.
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        with held:
            _wait_until_served(process, url, log)
        yield url
    finally:
        _end(process)


def database_url(folder: Path) -> str:
    return f"sqlite:///{folder.resolve() / 'chats.db'}"


def _environment() -> dict[str, str]:
    """Without the variables of whoever runs this: it is to be the same everywhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LLAVA_LOOP_")}


def _hold_a_free_port() -> tuple[socket.socket, int]:
    """Nobody else is given it until the program listens there, which Linux allows beside this."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = int(held.getsockname()[1])
    if sys.platform != "linux":
        held.close()
    return held, port


def _wait_until_served(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > until:
            tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise ProgramFailed(f"The page did not start; the end of {log}:\n{tail}")
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
