"""An open job for the browser: what it has of it already is not sent again."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

from app.training_curves import Curves
from app.training_request import Known

MAX_LOG_BYTES = 8_000
MAX_OPEN = 16
"""Runs whose curves are kept at hand."""


class CurveShelf:
    """The curves of the runs that somebody looks at; any number of threads may call it."""

    def __init__(self) -> None:
        self._curves: OrderedDict[Path, Curves] = OrderedDict()
        self._lock = Lock()

    def since(self, file: Path, known: Known) -> dict[str, Any]:
        with self._lock:
            curves = self._curves.pop(file, None) or Curves(file)
            self._curves[file] = curves
            while len(self._curves) > MAX_OPEN:
                self._curves.popitem(last=False)
            curves.read()
            return curves.since(known.num_rewinds, known.num_lines)


def log_since(file: Path, num_bytes: int) -> dict[str, Any]:
    """What was printed after the first `num_bytes`, from the beginning of a line and at most MAX_LOG_BYTES of it.
    `whole`: it does not follow on what was known."""
    try:
        with file.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            start = num_bytes if num_bytes <= size else 0
            is_cut = size - start > MAX_LOG_BYTES
            log.seek(size - MAX_LOG_BYTES if is_cut else start)
            data = log.read(size - log.tell())
    except OSError:
        return {"whole": True, "from": 0, "bytes": 0, "text": ""}
    if is_cut:
        data = data.partition(b"\n")[2]
    end = len(data) - _num_begun(data)
    text = data[:end].decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    is_whole = is_cut or start != num_bytes or start == 0
    return {"whole": is_whole, "from": start, "bytes": size - (len(data) - end), "text": text}


def _num_begun(data: bytes) -> int:
    """Bytes at the end that begin a character which is not there yet."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return back if length > back else 0
    return 0
