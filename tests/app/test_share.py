"""`--share` to the end: the whole program asks for a public link, prints it, and says so where there is none. The relay
alone is played, since tests reach nothing outside this machine."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import httpx

from tests.browser.running_page import ROOT, environment

SECONDS = 300.0

_PROGRAM = """
import sys
from gradio import networking

def relay(*, local_host, local_port, **_):
    print(f"The relay is asked to lead to {local_host}:{local_port}", flush=True)
    if sys.argv[1] == "none":
        raise RuntimeError("Could not get share link from Gradio API Server.")
    return sys.argv[1]

networking.setup_tunnel = relay
from app.main import main
main(sys.argv[2:])
"""


@contextmanager
def shared(folder: Path, link: str) -> Iterator[Queue[str]]:
    """The program with --share and a relay that gives this link, or fails to for "none"; the lines that it prints."""
    flags = ("--share", "--port", "0", "--worker-url", "http://127.0.0.1:1")
    database = ("--database-url", f"sqlite:///{folder / 'chats.db'}")
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, link, *flags, *database],
        cwd=ROOT,
        env=environment() | {"GRADIO_ANALYTICS_ENABLED": "False"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed, lines = process.stdout, Queue[str]()
    reader = threading.Thread(target=lambda: [lines.put(line) for line in printed], daemon=True)
    reader.start()
    try:
        yield lines
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0
    finally:
        process.kill()
        process.wait()
        reader.join(10)
        printed.close()


def line_with(lines: Queue[str], start: str) -> str:
    """The rest of the next line that begins so."""
    while not (line := lines.get(timeout=SECONDS)).startswith(start):
        pass
    return line.removeprefix(start).strip()


def test_the_page_asks_the_relay_and_prints_what_came_of_it(tmp_path: Path) -> None:
    with shared(tmp_path / "one", "http://loop.gradio.live") as one, shared(tmp_path / "two", "none") as two:
        for lines, told in (
            (one, "https://loop.gradio.live"),
            (two, "none, the relay could not be reached"),
        ):
            led_to = line_with(lines, "The relay is asked to lead to ")
            address = line_with(lines, "LLaVA Loop is at ")
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address) and led_to in address
            assert line_with(lines, "Public link: ") == told
            assert httpx.get(address, timeout=180).status_code == 200
