"""Which pictures of a data set are missing or broken, each with the reason; no torch.

Every file is looked at as samples.py does it, which for most formats means its structure. Beyond that, pictures are
decoded whole, in an order drawn by chance, until the time is over: a JPEG that was cut off is found in no other way.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises at broken files."""

MISSING = "is missing"
MAX_BROKEN_SHARE = 0.01
"""Of the pictures; more than that are no accident."""


@dataclass(slots=True)
class PictureCheck:
    """`faults` are by file; `decoded` were decoded whole, the broken ones too."""

    faults: dict[Path, str] = field(default_factory=dict)
    decoded: set[Path] = field(default_factory=set)

    def look_at(self, paths: Collection[Path], decode_seconds: float) -> None:
        for path in dict.fromkeys(paths):
            self._try(path, decode=False)
        whole = [path for path in dict.fromkeys(paths) if path not in self.faults]
        random.Random(0).shuffle(whole)
        until = time.monotonic() + decode_seconds
        for path in whole:
            if time.monotonic() >= until:
                break
            self._try(path, decode=True)
            self.decoded.add(path)

    def too_many(self, paths: Collection[Path]) -> bool:
        """Whether more than one, and more than 1 % of all of these, are broken: counted as far as they were decoded,
        and expected alike of the others that look well where several were found so. Check and run both go by it."""
        files = set(paths)
        faulty = files.intersection(self.faults)
        found = faulty & self.decoded
        whole = len(files) - len(faulty - found)
        each_stands_for = whole / len(files & self.decoded) if len(found) > 1 else 1.0
        expected = len(faulty - found) + len(found) * each_stands_for
        return len(faulty) > 1 and expected > MAX_BROKEN_SHARE * len(files)

    def num_judged(self, paths: Collection[Path]) -> int:
        """Those of these that were decoded or are known to be broken."""
        return len(set(paths) & (self.decoded | self.faults.keys()))

    def missing(self, paths: Collection[Path]) -> list[Path]:
        return [path for path in paths if self.faults.get(path) == MISSING]

    def broken(self, paths: Collection[Path]) -> list[Path]:
        return [path for path in paths if self.faults.get(path, MISSING) != MISSING]

    def _try(self, path: Path, *, decode: bool) -> None:
        try:
            with Image.open(path) as image:
                if decode:
                    image.convert("RGB")
                else:
                    image.verify()
        except FileNotFoundError:
            self.faults[path] = MISSING
        except UNREADABLE as error:
            self.faults[path] = f"cannot be read ({error})"
