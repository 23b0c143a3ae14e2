"""What decides who is read, and what readers get, needs no torch: its tests start at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WITHOUT_TORCH = (
    "errors", "job", "numbers", "remembered", "request", "scheduler", "slots", "stop_text", "streams", "task",
    "token_text", "virtual_ids",
)  # fmt: skip


def test_scheduling_slots_and_streams_import_no_torch() -> None:
    """One after the other, so that the first one that does is named."""
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(f'model.engine.{name}')\n"
        "    print(name, sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, *WITHOUT_TORCH]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=True)
    assert done.stdout.splitlines() == [f"{name} []" for name in WITHOUT_TORCH]
