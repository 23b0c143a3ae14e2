"""`transformers serve` with the shipped model, written in the layout of llava-hf by our own converter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.peers.other_server import ROOT, running_server

DEMO = ROOT / "model" / "demo"
needs_the_model = pytest.mark.skipif(
    not (DEMO / "model.safetensors").is_file(),
    reason="model/demo has no weights yet; make demo-model trains them",
)


def converted(folder: Path) -> Path:
    """The shipped model in the layout of llava-hf, below `folder`."""
    model = folder / "demo-hf"
    command = [
        sys.executable,
        "-m",
        "scripts.convert_checkpoint",
        "--to",
        "llava-hf",
        str(model),
        "--model",
        str(DEMO),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    return model


@contextmanager
def transformers_server(folder: Path) -> Iterator[str]:
    """Its address, with the model pinned."""
    model = converted(folder)
    program = str(Path(sys.executable).with_name("transformers"))

    def command(port: int) -> list[str]:
        return [program, "serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]

    with running_server(command, folder, health="/health") as url:
        yield url
