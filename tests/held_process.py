"""Processes that get no further than their first line while somebody holds them, however fast the machine is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FIRST = """
import os, sys, time
while {module!r} in sys.orig_argv and os.path.exists({gate!r}):
    time.sleep(0.02)
"""


class HeldProcess:
    """`python -m MODULE`, started with `environment` beside the usual one."""

    def __init__(self, folder: Path, module: str) -> None:
        folder.mkdir(parents=True)
        self._gate = folder / "closed"
        self.environment = {"PYTHONPATH": str(folder)}
        (folder / "sitecustomize.py").write_text(_FIRST.format(module=module, gate=str(self._gate)))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Those that begin meanwhile wait for its end."""
        self._gate.touch()
        try:
            yield
        finally:
            self._gate.unlink()
