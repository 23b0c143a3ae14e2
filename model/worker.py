"""The worker: an HTTP server around the network, in a process of its own.

    python -m model.worker --model model/demo --port 8001

It binds its port and answers /health before torch is imported, tells how far the loading is, and stays up with the
reason when loading fails. SIGTERM lets running answers finish for a moment and ends the others with a reason; ten
seconds later the process is gone, whatever the network is doing. When the engine breaks (a fault of the GPU, say) it
ends with status 70, so that whoever watches it starts it anew.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import uvicorn

from model.door.adapter_shelf import AdapterShelf
from model.door.readiness import Readiness
from model.door.routes import build_app
from model.serving import ModelChoice, load_in_background

_log = logging.getLogger("model.worker")
FINISH_SECONDS = 6.0
"""How long running answers may go on after SIGTERM; then they are ended with the reason."""
LEAVE_SECONDS = 9.5
"""When the process goes at the latest, though a step still runs or a picture is still being decoded."""
BACKLOG = 128
BROKEN_STATUS = 70
"""The exit status of a worker whose engine broke: nothing is wrong with how it was started, a new one may well work."""
TOKEN_VARIABLE = "LLAVA_LOOP_WORKER_TOKEN"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What the flags and the environment say."""

    choice: ModelChoice
    host: str
    port: int
    token: str | None
    reserved_port: bool  # the parent keeps the port for us with SO_REUSEPORT
    exit_with_parent: bool  # standard input is a pipe from the parent; its end is ours
    adapter_root: Path | None = None  # the folder below which adapters may be loaded, None for none


class PortInUse(OSError):
    """Nobody can listen twice."""


def read_settings(
    argv: Sequence[str] | None = None, environment: dict[str, str] | None = None
) -> WorkerSettings:
    """Flags go before the environment. Exits with a usage message on a wrong flag."""
    values = os.environ if environment is None else environment
    parser = argparse.ArgumentParser(prog="python -m model.worker", description="Serves one model over HTTP.")

    def add(flag: str, variable: str, default: str, kind: Callable[[str], object], text: str) -> None:
        shown = "" if default == "" else f", default {default}"
        help_text = f"{text} ({variable}{shown})"
        parser.add_argument(flag, type=kind, default=values.get(variable) or default, help=help_text)

    add("--model", "LLAVA_LOOP_MODEL", "model/demo", str, "folder of the checkpoint, or its name on the Hub")
    add("--model-base", "LLAVA_LOOP_MODEL_BASE", "", str, "what completes a delta, an adapter or a projector")
    add("--adapter", "LLAVA_LOOP_ADAPTER", "", str, "adapter that is merged into the model")
    add("--vision-tower", "LLAVA_LOOP_VISION_TOWER", "", str, "picture tower instead of the checkpoint's own")
    add("--quantize", "LLAVA_LOOP_QUANTIZE", "none", str, "none, 8bit or 4bit")
    add("--device-map", "LLAVA_LOOP_DEVICE_MAP", "none", str, "auto shares the model out over several GPUs")
    add("--template", "LLAVA_LOOP_TEMPLATE", "", str, "template instead of the checkpoint's own")
    add("--dtype", "LLAVA_LOOP_DTYPE", "auto", str, "auto, float32, bfloat16 or float16")
    add("--device", "LLAVA_LOOP_DEVICE", "auto", str, "auto, cpu, cuda or mps")
    add("--threads", "LLAVA_LOOP_THREADS", "0", int, "CPU threads; 0 means the machine's own")
    add(
        "--cache-gb",
        "LLAVA_LOOP_CACHE_GB",
        "",
        _cache_gb,
        "10^9 bytes for keys and values, not given: chosen by itself",
    )
    add(
        "--adapter-root",
        "LLAVA_LOOP_ADAPTER_ROOT",
        "runs",
        str,
        "folder below which adapters may be loaded by a caller with the token; none: no adapters",
    )
    add("--served-model-name", "LLAVA_LOOP_SERVED_MODEL_NAME", "", str, "its name, instead of the folder's")
    add("--host", "LLAVA_LOOP_WORKER_HOST", "127.0.0.1", str, "address to listen at")
    add("--port", "LLAVA_LOOP_WORKER_PORT", "8001", int, "port to listen at; 0 takes a free one")
    add(
        "--token",
        TOKEN_VARIABLE,
        "",
        str,
        "secret that every request must bring; other users see flags, so prefer this",
    )
    for flag, variable, text in (
        (
            "--reserved-port",
            "LLAVA_LOOP_WORKER_RESERVED_PORT",
            "the parent process holds the port for this one",
        ),
        ("--exit-with-parent", "LLAVA_LOOP_WORKER_EXIT_WITH_PARENT", "end when standard input ends"),
    ):
        parser.add_argument(
            flag, action="store_true", default=values.get(variable) == "1", help=f"{text} ({variable}=1)"
        )
    flags = parser.parse_args(argv)
    choice = ModelChoice(
        flags.model,
        flags.template or None,
        flags.dtype,
        flags.device,
        flags.threads,
        cache_gb=flags.cache_gb or None,
        model_base=flags.model_base or None,
        adapter=flags.adapter or None,
        vision_tower=flags.vision_tower or None,
        quantize=flags.quantize,
        device_map=flags.device_map,
        name=flags.served_model_name,
    )
    root = None if flags.adapter_root == "none" else Path(flags.adapter_root)
    return WorkerSettings(
        choice, flags.host, flags.port, flags.token or None, flags.reserved_port, flags.exit_with_parent, root
    )


def _cache_gb(given: str) -> float | None:
    """A size in 10^9 bytes; "" leaves it to the worker."""
    if not given:
        return None
    size = float(given)
    if not 0 < size < 1e6:
        raise argparse.ArgumentTypeError(f"{given} is no size; give 10^9 bytes, such as 0.5 or 8")
    return size


def is_loopback(host: str) -> bool:
    """Whether an address that is listened at leads to this machine only."""
    return ipaddress.ip_address(host).is_loopback


def listen(host: str, port: int, *, reserved: bool) -> socket.socket:
    """A listening socket. Raises PortInUse with the remedy."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reserved:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise PortInUse(
            f"Cannot listen at {host}:{port} ({error.strerror}); choose another --port."
        ) from error
    listener.listen(BACKLOG)
    return listener


class WorkerServer(uvicorn.Server):
    """uvicorn, but a signal first lets running answers finish, then ends them with a reason."""

    def __init__(
        self, config: uvicorn.Config, readiness: Readiness, on_started: Callable[[], object]
    ) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Task[None] | None = None
        self._last_resort = threading.Timer(LEAVE_SECONDS, _leave, (readiness,))
        self._last_resort.daemon = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)
        if self._closing is not None:
            await self._closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()  # only now: importing torch takes the interpreter's lock for seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.begin_exit()

    def begin_exit(self) -> None:
        """From any thread or signal handler: stop accepting, finish or fail what runs, end."""
        if self.should_exit:
            return
        self.should_exit = True
        self._last_resort.start()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._start_closing)

    def has_ended(self) -> None:
        """Everything is closed, the loop and its threads included: nobody has to be cut short any more."""
        self._last_resort.cancel()

    def _start_closing(self) -> None:
        self._closing = asyncio.ensure_future(self._close_engine())

    async def _close_engine(self) -> None:
        engine = self._readiness.engine
        if engine is None:
            return
        deadline = asyncio.get_running_loop().time() + FINISH_SECONDS
        while (engine.num_running or engine.num_waiting) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        await engine.close("the worker is shutting down")


def _watch_parent(server: WorkerServer) -> None:
    """Waits for the end of standard input, which comes when the parent dies, however it dies."""
    while sys.stdin.buffer.read(1):
        pass
    _log.info("the parent process has gone")
    server.begin_exit()


def _leave(readiness: Readiness) -> None:
    """The end of the process, though a thread of it still runs: native code cannot be interrupted."""
    _log.warning("something still runs and is cut short")
    status = exit_status(readiness)
    _flush()
    os._exit(status)


def _flush() -> None:
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stdout.flush()


def run(settings: WorkerSettings) -> int:
    """Serves until told to end; returns the exit status."""
    try:
        listener = listen(settings.host, settings.port, reserved=settings.reserved_port)
    except (PortInUse, socket.gaierror) as error:
        _log.error("%s", error)
        return 2
    model = Path(settings.choice.model)
    name = settings.choice.name or (model.resolve().name if model.is_dir() else settings.choice.model)
    readiness = Readiness(name)
    shelf = None if settings.adapter_root is None else AdapterShelf(settings.adapter_root, name)
    choice = settings.choice if shelf is None else replace(settings.choice, adapters=shelf.remembered())
    host, port = listener.getsockname()[:2]
    loopback_only = is_loopback(host)
    app = build_app(readiness, settings.token, loopback_only=loopback_only, shelf=shelf)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=9,
        lifespan="off",
        ws="none",
        loop="asyncio",
    )
    server = WorkerServer(config, readiness, lambda: load_in_background(choice, readiness))
    readiness.when_broken(lambda reason: server.begin_exit())
    _log.info("listening at http://%s:%d", host, port)
    if settings.token is None and not loopback_only:
        _log.warning("anybody who reaches %s:%d can use this model; set %s", host, port, TOKEN_VARIABLE)
    if settings.exit_with_parent:
        threading.Thread(target=_watch_parent, args=(server,), name="parent", daemon=True).start()
    try:
        asyncio.run(server.serve([listener]))
    finally:
        server.has_ended()
    return exit_status(readiness)


def exit_status(readiness: Readiness) -> int:
    """0, or BROKEN_STATUS with the reason as the log's last line, where the page looks for it."""
    if readiness.is_broken:
        _log.error("ended: %s", readiness.health()["reason"])
        return BROKEN_STATUS
    _log.info("ended")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout
    )
    status = run(read_settings(argv))
    _flush()
    # The loading thread may stand inside a native import that cannot be interrupted, the engine's in a step that takes
    # long; everything else is closed by now.
    os._exit(status)


if __name__ == "__main__":
    main()
