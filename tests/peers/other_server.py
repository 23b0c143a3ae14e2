"""A server that we did not write, started for a test and ended after it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running_server(
    command: Callable[[int], Sequence[str]],
    folder: Path,
    *,
    health: str,
    seconds: float = 600.0,
    **variables: str,
) -> Iterator[str]:
    """The address of a server that answers at the path `health`; `command` makes its argument list from a free port."""
    held = socket.socket()  # so that nobody else is given the port until the server listens there
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder),
        **variables,
    }
    log_path = folder / "server.log"
    with log_path.open("wb") as log:
        child = subprocess.Popen(command(port), cwd=folder, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + seconds
        while not _answers(url + health):
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{command(port)[0]} did not start:\n{log_path.read_text(errors='replace')[-3000:]}"
                )
            time.sleep(0.1)
        held.close()
        yield url
    finally:
        held.close()
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, OSError):
        return False
