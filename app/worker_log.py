"""What the local worker writes, kept in one file of bounded size, with its last line at hand when it dies."""

from __future__ import annotations

from pathlib import Path

MAX_BYTES = 2_000_000


class WorkerLog:
    """Appends to `path`; when that is full it becomes `path`.1 and a new one begins. Used by one thread at a time."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self.last_line = ""
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, line: bytes) -> None:
        """One line, or a piece of a very long one."""
        text = line.decode("utf-8", errors="replace").strip()
        self.last_line = text or self.last_line
        if self._path.exists() and self._path.stat().st_size + len(line) > self._max_bytes:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        with self._path.open("ab") as file:
            file.write(line)
