"""The real program for browser tests: `python app.py` with its worker, on a free port, with a database of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "model" / "demo"
START_SECONDS = 600.0
"""Far more than it takes: a machine that trains a model beside the tests has little left for them."""

ENDLESS_TOKENS = 30_000
"""An answer of the endless checkpoint that is still being written when a fast machine has had minutes for others."""

_WRITE_TINY = """
import sys
from pathlib import Path
from model import checkpoint
from tests.model.tiny import tiny_llava
for folder, context_tokens in zip(sys.argv[1:], (2048, 32_768)):
    # Deep, so that each token takes its time on a fast machine too, and it never comes to an end by itself: there is
    # always time to stop or to kill it.
    model, tokenizer = tiny_llava(num_layers=12, context_tokens=context_tokens)
    ends = tokenizer.convert_tokens_to_ids(["</s>", "#", "##", "<0x23>"])
    model.lm_head.weight.data[ends] = 0
    checkpoint.save(Path(folder), model, tokenizer)
"""


def write_checkpoints(tiny: Path, endless: Path) -> None:
    """Untrained ones, in a process of their own, so that the tests' process stays without torch."""
    command = [sys.executable, "-c", _WRITE_TINY, str(tiny), str(endless)]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True, timeout=600)


def environment() -> dict[str, str]:
    """Without the flags' variables of whoever runs the tests, and with one thread: the machines are small."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLAVA_LOOP_")}
    return kept | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass
class RunningPage:
    """One running program. `folder` holds its database and pictures; `port` is the one that it finds free, and the same
    when it is started again. `environment` comes beside the usual one."""

    folder: Path
    arguments: tuple[str, ...] = ()
    port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _began: float = 0.0
    _held_port: socket.socket | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self) -> Path:
        return self.folder / "page.log"

    def start(self) -> RunningPage:
        self.folder.mkdir(parents=True, exist_ok=True)
        database = f"sqlite:///{self.folder / 'chats.db'}"
        command = [
            sys.executable,
            "app.py",
            "--port",
            str(self.port),
            "--database-url",
            database,
            *self.arguments,
        ]
        self._began = began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment() | self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise RuntimeError(f"the page did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.2)
        if self._held_port is not None:
            self._held_port.close()
        return self

    def wait_until_ready(self) -> RunningPage:
        """Until the worker has its weights."""
        while not self._worker_is_ready():
            if time.monotonic() - self._began > START_SECONDS:
                raise RuntimeError("the worker did not become ready")
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def crash(self) -> None:
        """End the page's process alone, without a chance to tidy up. Its port is kept until it is started again."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._held_port = socket.socket()
        self._held_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held_port.bind(("127.0.0.1", self.port))

    def worker_ids(self) -> list[int]:
        """Process ids of the workers that this page has started."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        ids = [int(each) for path in children for each in _read(path).split()]
        return [each for each in ids if "model.worker" in _read(Path(f"/proc/{each}/cmdline"))]

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """What the database says, asked past the program."""
        connection = sqlite3.connect(f"file:{self.folder / 'chats.db'}?mode=ro", uri=True, timeout=120)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(query, values)]
        finally:
            connection.close()

    def answers(self, conversation_id: str) -> list[dict[str, Any]]:
        """Answers with their ends, oldest first."""
        return self.rows(
            "SELECT t.id, t.parent_id, t.text, t.is_shown, a.* FROM turns t "
            "JOIN answers a ON a.turn_id = t.id "
            "WHERE t.conversation_id = ? ORDER BY t.id",
            conversation_id,
        )

    def questions(self, conversation_id: str) -> list[dict[str, Any]]:
        return self.rows(
            "SELECT * FROM turns WHERE role = 'user' AND conversation_id = ? ORDER BY id", conversation_id
        )

    def _worker_is_ready(self) -> bool:
        for each in self.worker_ids():
            words = _read(Path(f"/proc/{each}/cmdline")).split("\0")
            if "--port" not in words:
                return False
            address = f"http://127.0.0.1:{words[words.index('--port') + 1]}/health"
            try:
                with urllib.request.urlopen(address, timeout=10) as answer:
                    return json.load(answer)["state"] == "ready"
            except (urllib.error.URLError, OSError):
                return False
        return False

    def _answers(self) -> bool:
        if not self.port:
            found = re.search(r"is at http://127\.0\.0\.1:(\d+)/", self.log.read_text(errors="replace"))
            self.port = int(found[1]) if found else 0
        try:
            with urllib.request.urlopen(self.url, timeout=10) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return True
        except (urllib.error.URLError, OSError):
            return False


def example_question() -> tuple[Path, str]:
    """The first example of the empty page: its picture and its question."""
    first = json.loads((ROOT / "app" / "examples" / "examples.json").read_text(encoding="utf-8"))[0]
    return ROOT / "app" / "examples" / first["picture"], first["question"]


def _read(path: Path) -> str:
    """A file of /proc, "" where what it tells of has ended meanwhile."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
