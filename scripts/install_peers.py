"""Install the peers that `make bench` measures beside us: python -m scripts.install_peers

They go into an environment of their own, `.venv-peers`, so that nothing of theirs can reach the program. llama.cpp is
built from source for this very machine, which takes minutes to an hour and needs a C++ compiler and CMake; where that
fails, the bench leaves its rows out and says so. The build
stands back for everything else and runs on one core (PEERS_JOBS=4 for more).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-peers"
PINS = ROOT / "requirements-peers.txt"
# Only what this machine has: the pictures' part of llama.cpp is not measured and would take as long again.
CMAKE = "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 where the peers are there, 1 with one sentence where they could not be had."""
    del argv
    stamp = FOLDER / ".installed"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == PINS.read_text(encoding="utf-8"):
        return 0
    print(
        "Building llama.cpp beside us, at low priority; this may take long, and is done once ...", flush=True
    )
    environment = {
        **os.environ,
        "CMAKE_ARGS": os.environ.get("CMAKE_ARGS", CMAKE),
        "CMAKE_BUILD_PARALLEL_LEVEL": os.environ.get("PEERS_JOBS", "1"),
    }
    python = str(FOLDER / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--no-input"]
    for command in (
        [sys.executable, "-m", "venv", str(FOLDER)],
        [*pip, "-r", str(PINS)],
        [python, "-c", "import gguf, llama_cpp, safetensors"],
    ):
        try:
            status = run_in_the_background(command, environment)
        except OSError as error:
            return _left_out(f"{command[0]} could not be run ({error.strerror})")
        if status != 0:
            return _left_out(f"`{' '.join(command)}` ended with status {status}")
    stamp.write_text(PINS.read_text(encoding="utf-8"), encoding="utf-8")
    print(f"The peers are installed in {FOLDER.name}.")
    return 0


def run_in_the_background(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a command that gives every other program the cores first, and returns its exit status.

    `nice` alone does not reach across sessions where the kernel groups processes by session (sched_autogroup_enabled);
    so the command gets a session of its own, and that session the lowest priority: not the terminal's, in which
    everything else would become slow.
    """
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_stand_back
    )
    try:
        return process.wait()
    except BaseException:  # Ctrl-C goes to the terminal's session only
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise


def _stand_back() -> None:
    """In the new session, before the command begins."""
    os.nice(19)
    with contextlib.suppress(OSError):  # no such file without that kernel option
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")


def _left_out(why: str) -> int:
    print(f"The peers could not be installed: {why}. The bench leaves llama.cpp out.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
