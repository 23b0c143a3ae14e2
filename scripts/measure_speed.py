"""Measure how fast the program starts and answers: python -m scripts.measure_speed --model model/demo

Starts the page and the worker as a person would, one after the other so that neither slows the other, on free
loopback ports and in a folder of its own: the user's conversations are not touched. Prints each number beside
the limit, where there is one, that the project sets itself on a machine with two slow cores.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
GIVE_UP_SECONDS = 300.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Measure:
    """One number and, where there is one, its limit: at most so many seconds."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    def line(self) -> str:
        """`page answers HTTP   9.1 s   (limit 15 s)`"""
        limit = "" if self.limit is None else f"   (limit {self.limit:g} {self.unit})"
        return f"{self.name:<32}{self.value:>8.2f} {self.unit}{limit}"


class DidNotStart(RuntimeError):
    """A process ended, or did not get ready in time; the message carries the end of its output."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the measures; exit status 1 where one is over its limit."""
    parser = argparse.ArgumentParser(description="Measure how fast the program starts and answers.")
    parser.add_argument("--model", default="model/demo", help="checkpoint folder (default: %(default)s)")
    model = parser.parse_args(argv).model
    measures: list[Measure] = []
    for measure in (*measure_page(), *measure_worker(model)):
        print(measure.line(), flush=True)
        measures.append(measure)
    return int(any(measure.limit is not None and measure.value > measure.limit for measure in measures))


def measure_page() -> Iterator[Measure]:
    """How long until the page answers HTTP. It is pointed at no worker, so that only the page is measured."""
    port, nowhere = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        database_url = f"sqlite:///{folder}/chats.db"
        command = ["app.py", "--port", str(port), "--database-url", database_url]
        command += ["--worker-url", f"http://127.0.0.1:{nowhere}"]
        started = time.monotonic()
        with running(command) as check_alive:
            wait_for(lambda: _answers(f"http://127.0.0.1:{port}/"), check_alive)
            yield Measure("page answers HTTP", time.monotonic() - started, "s", limit=15)


def measure_worker(model: str) -> Iterator[Measure]:
    """How long until the model is ready, until its first piece, and how many pieces a second follow."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    started = time.monotonic()
    with running(["-m", "model.worker", "--model", model, "--port", str(port)]) as check_alive:
        wait_for(lambda: _is_ready(url), check_alive)
        yield Measure("model is ready", time.monotonic() - started, "s", limit=30)
        started = time.monotonic()
        times = [time.monotonic() for _ in pieces(url)]
        if not times:
            raise DidNotStart(f"The model {model} gave an empty answer, so its speed could not be measured.")
        yield Measure("first piece of an answer", times[0] - started, "s")
        if len(times) > 1:
            yield Measure("pieces a second after it", (len(times) - 1) / (times[-1] - times[0]), "/s")


@contextlib.contextmanager
def running(command: Sequence[str]) -> Iterator[Callable[[], None]]:
    """Run Python with `command`, end it afterwards; yields a check that raises DidNotStart once it is dead."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

        def check_alive() -> None:
            if process.poll() is not None:
                log.seek(0)
                end = log.read()[-2000:]
                raise DidNotStart(f"{' '.join(command)} ended with status {process.returncode}:\n{end}")

        try:
            yield check_alive
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(is_so: Callable[[], bool], check_alive: Callable[[], None]) -> None:
    """Return once `is_so`; raises DidNotStart when the process dies or GIVE_UP_SECONDS pass first."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not is_so():
        check_alive()
        if time.monotonic() > deadline:
            raise DidNotStart(f"Not ready after {GIVE_UP_SECONDS:g} seconds.")
        time.sleep(POLL_SECONDS)


def pieces(url: str) -> Iterator[str]:
    """The streamed pieces of a greedy answer about one drawing."""
    parts = [
        {"type": "image_url", "image_url": {"url": drawing()}},
        {"type": "text", "text": "Describe the image."},
    ]
    body = {
        "model": httpx.get(f"{url}/v1/models").json()["data"][0]["id"],
        "messages": [{"role": "user", "content": parts}],
        "temperature": 0,
        "max_tokens": 64,
        "stream": True,
    }
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=GIVE_UP_SECONDS) as response:
        if response.status_code != 200:
            response.read()
            raise DidNotStart(f"The worker refused the question ({response.status_code}): {response.text}")
        for line in response.iter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            chunk = json.loads(line.removeprefix("data: "))
            if "error" in chunk:
                raise DidNotStart(f"The worker failed in mid-answer: {chunk['error']['message']}")
            text = chunk["choices"][0]["delta"].get("content") if chunk["choices"] else None
            if text:
                yield text


def drawing() -> str:
    """A red disc on white, as a data URL."""
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill="red")
    data = io.BytesIO()
    image.save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _is_ready(url: str) -> bool:
    try:
        health = httpx.get(f"{url}/health", timeout=5).json()
    except httpx.TransportError:
        return False
    if health["state"] == "failed":
        raise DidNotStart(f"The worker could not load the model: {health['reason']}")
    return bool(health["state"] == "ready")


if __name__ == "__main__":
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        raise SystemExit(main())
    except DidNotStart as error:
        raise SystemExit(str(error)) from error
