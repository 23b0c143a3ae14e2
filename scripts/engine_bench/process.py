"""Starts a peer or a worker as a process of its own, waits until it serves, and ends it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent.parent
GIVE_UP_SECONDS = 300.0
POLL_SECONDS = 0.2


class PeerFailed(RuntimeError):
    """A process ended, or did not get ready in time; the message carries the end of its output."""


@contextlib.contextmanager
def serving(command: Sequence[str], is_ready: Callable[[], bool]) -> Iterator[None]:
    """Runs `command` until the block ends; enters the block once `is_ready`. Raises PeerFailed."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + GIVE_UP_SECONDS
            while not is_ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise PeerFailed(f"`{' '.join(command)}` did not get ready: {log.read()[-800:].strip()}")
                time.sleep(POLL_SECONDS)
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def says(url: str, key: str, value: str) -> Callable[[], bool]:
    """Whether a GET of `url` gives a JSON object in which `key` is `value`."""

    def asked() -> bool:
        try:
            response = httpx.get(url, timeout=5)
            return response.status_code == 200 and response.json().get(key) == value
        except httpx.TransportError:
            return False

    return asked


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
