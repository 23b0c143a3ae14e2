"""The local worker as a child process: how it is started, what it may know, how it is ended and how that is told."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
TOKEN_VARIABLE = "LLAVA_LOOP_WORKER_TOKEN"
OUR_VARIABLES = "LLAVA_LOOP_"
PASSED_ON = frozenset({"DEVICE", "THREADS", "CACHE_GB", "ADAPTER_ROOT"})
"""The page's other settings (passwords, the database's address) are no business of the worker's, and those of one model
(its template, its precision) come as flags, since the next model has others."""

_FOR_PEOPLE = re.compile(rb"\S+ \S+ (?:INFO|WARNING|ERROR) model\.(?:checkpoint|serving)[\w.]*: (.*\S)")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What the local worker is started with; passed on as its flags. None leaves the worker's own default."""

    model: str = "model/demo"
    template: str | None = None
    dtype: str | None = None
    device: str | None = None
    model_base: str | None = None
    adapter: str | None = None
    vision_tower: str | None = None
    quantize: str | None = None
    device_map: str | None = None
    cache_gb: float | None = None
    adapter_root: str | None = None
    served_name: str | None = None


def worker_command(options: WorkerOptions, port: int) -> list[str]:
    """The argument list; no secret is in it, since everybody can read it."""
    command = [
        sys.executable,
        "-m",
        "model.worker",
        "--host",
        HOST,
        "--port",
        str(port),
        "--exit-with-parent",
    ]
    if hasattr(socket, "SO_REUSEPORT"):
        command.append("--reserved-port")
    chosen = {
        "--cache-gb": options.cache_gb,
        "--adapter-root": options.adapter_root,
        "--served-model-name": options.served_name,
    }
    return [*command, *_what_to_load(options), *_given(chosen)]


def look_command(options: WorkerOptions, freed_by: int | None) -> list[str]:
    """Of a look at a model, before the process `freed_by` is ended for it."""
    command = [sys.executable, "-m", "model.checkpoint_look", "--exit-with-parent"]
    return [*command, *_what_to_load(options), *_given({"--freed-by": freed_by})]


def _what_to_load(options: WorkerOptions) -> list[str]:
    """A path is meant from where the person stands; what is not there is left to the child, which stands in ROOT."""
    model = Path(options.model)
    chosen = {
        "--model": str(model.resolve()) if model.exists() else options.model,
        "--template": options.template,
        "--dtype": options.dtype,
        "--device": options.device,
        "--model-base": options.model_base,
        "--adapter": options.adapter,
        "--vision-tower": options.vision_tower,
        "--quantize": options.quantize,
        "--device-map": options.device_map,
    }
    return _given(chosen)


def _given(flags: Mapping[str, object]) -> list[str]:
    return [word for flag, value in flags.items() if value is not None for word in (flag, str(value))]


def spawn(
    command: Sequence[str], environment: Mapping[str, str], *, log: int = subprocess.STDOUT
) -> subprocess.Popen[bytes]:
    """`log` PIPE keeps what it logs apart from what it says. Raises OSError where the program cannot be started."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,  # never written to: its end tells the child that we have died
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,  # Ctrl-C reaches us alone, and we end the child
    )


def end(child: subprocess.Popen[bytes], timeout_seconds: float) -> None:
    """SIGTERM, and SIGKILL where that was not enough; waits."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def child_environment(environment: Mapping[str, str], token: str) -> dict[str, str]:
    """What the worker may know: everything but the page's own settings, and the secret."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(OUR_VARIABLES) or name.removeprefix(OUR_VARIABLES) in PASSED_ON
    }
    # Waiting threads that spin take the page's share of a small machine.
    return {"OMP_WAIT_POLICY": "PASSIVE", **kept, TOKEN_VARIABLE: token, "PYTHONUNBUFFERED": "1"}


def told_in_terminal(line: bytes) -> str | None:
    """What a person at the page's terminal should know of a line of the log: how a model was recognised, how far a
    download is, what became of it. None for all else."""
    found = _FOR_PEOPLE.match(line)
    return found[1].decode("utf-8", errors="replace") if found else None


def write_down(output: IO[bytes] | None, write: Callable[[bytes], object]) -> None:
    """Each line of a child's log, to its end, and what people should know of it to the terminal. A full disk or a
    closed terminal must not stop the child's pipe for good."""
    with contextlib.suppress(OSError, ValueError):
        while output is not None and (line := output.readline(65_536)):
            with contextlib.suppress(OSError):
                write(line)
            told = told_in_terminal(line)
            if told is not None:
                with contextlib.suppress(OSError, ValueError):
                    print(told, file=sys.stderr, flush=True)


def death_in_words(status: int, last_line: str, who: str = "The worker") -> str:
    """How a child ended: `status` as subprocess gives it, negative for a signal."""
    if status == -signal.SIGKILL:
        return f"{who} was killed (signal 9), which most often means that the machine ran out of memory."
    told = f"; the last line of its log: {last_line[:300]}" if last_line else ""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"{who} was ended by {name}{told}"
    return f"{who} ended with exit status {status}{told}"


def hold_a_free_port() -> tuple[int, socket.socket]:
    """Bound but not listening: the child may listen beside it, nobody else gets the port, and while the child is
    dead a connection is refused at once. Without shared ports (Windows) it is let go, and most likely stays free."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if hasattr(socket, "SO_REUSEPORT"):
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((HOST, 0))
    port: int = held.getsockname()[1]
    if not hasattr(socket, "SO_REUSEPORT"):
        held.close()
    return port, held
