"""The local worker as a child process: how it is started, what it may know, how it is ended and how that is told."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
TOKEN_VARIABLE = "LLAVA_LOOP_WORKER_TOKEN"
OUR_VARIABLES = "LLAVA_LOOP_"
PASSED_ON = frozenset({"DEVICE", "THREADS", "CACHE_GB", "ADAPTER_ROOT"})
"""The page's other settings (passwords, the database's address) are no business of the worker's, and those of one model
(its template, its precision) come as flags, since the next model has others."""


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
    model = Path(options.model)
    # A path is meant from where the person stands; what is not there is left to the worker, which stands in ROOT.
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
    command += ["--model", str(model.resolve()) if model.exists() else options.model]
    if hasattr(socket, "SO_REUSEPORT"):
        command.append("--reserved-port")
    chosen = {
        "--template": options.template,
        "--dtype": options.dtype,
        "--device": options.device,
        "--model-base": options.model_base,
        "--adapter": options.adapter,
        "--vision-tower": options.vision_tower,
        "--quantize": options.quantize,
        "--device-map": options.device_map,
        "--cache-gb": options.cache_gb,
        "--adapter-root": options.adapter_root,
        "--served-model-name": options.served_name,
    }
    for flag, value in chosen.items():
        if value is not None:
            command += [flag, str(value)]
    return command


def spawn(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Raises OSError where the program cannot be started."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,  # never written to: its end tells the child that we have died
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
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


def death_in_words(status: int, last_line: str) -> str:
    """How a child ended: `status` as subprocess gives it, negative for a signal."""
    if status == -signal.SIGKILL:
        return "The worker was killed (signal 9), which most often means that the machine ran out of memory."
    told = f"; the last line of its log: {last_line[:300]}" if last_line else ""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"The worker was ended by {name}{told}"
    return f"The worker ended with exit status {status}{told}"


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
