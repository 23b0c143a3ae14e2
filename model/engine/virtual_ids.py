"""Pictures as token ids: every picture gets a range of ids of its own above the vocabulary, by its content.

With them a prompt is a plain list of numbers that is equal to another exactly where the network would compute the same,
so that comparing prefixes works for pictures as for text. No torch here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

MOST_REMEMBERED = 4096
"""Pictures whose range is remembered. One that was forgotten gets a new range: its prefix is read again, no more."""


class PictureCountError(ValueError):
    """The prompt has another number of image tokens than its pictures take."""


@dataclass(frozen=True, slots=True)
class PictureSpan:
    """Positions `start` to `stop` of a prompt are picture `index`, patch after patch."""

    start: int
    stop: int
    index: int


@dataclass(frozen=True, slots=True)
class VirtualPrompt:
    """A prompt's ids, those of pictures above the vocabulary, and where the pictures lie in it."""

    ids: tuple[int, ...]
    spans: tuple[PictureSpan, ...]


class VirtualIds:
    """Hands out ranges of ids, to any thread; a range is never given to a second picture."""

    def __init__(self, vocab_size: int, num_patches: int, most_remembered: int = MOST_REMEMBERED) -> None:
        self._next = vocab_size
        self._num_patches = num_patches
        self._most = most_remembered
        self._first_ids: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def prompt(self, input_ids: Sequence[int], image_token_id: int, pictures: Sequence[str]) -> VirtualPrompt:
        """Put the pictures (SHA-256, in order) where the image tokens are. Raises PictureCountError."""
        places = [place for place, token_id in enumerate(input_ids) if token_id == image_token_id]
        needed = len(pictures) * self._num_patches
        if len(places) != needed:
            raise PictureCountError(
                f"The prompt holds {len(places)} image tokens but its {len(pictures)} pictures take {needed} "
                f"({self._num_patches} each); give one picture for every place in the prompt."
            )
        ids = list(input_ids)
        spans: list[PictureSpan] = []
        for index, sha256 in enumerate(pictures):
            mine = places[index * self._num_patches : (index + 1) * self._num_patches]
            if mine[-1] - mine[0] != len(mine) - 1:
                raise PictureCountError(
                    f"The image tokens of picture {index + 1} are torn apart in the prompt; they must stand together."
                )
            with self._lock:
                first_id = self._first_id(sha256)
            ids[mine[0] : mine[-1] + 1] = range(first_id, first_id + len(mine))
            spans.append(PictureSpan(mine[0], mine[-1] + 1, index))
        return VirtualPrompt(tuple(ids), tuple(spans))

    def _first_id(self, sha256: str) -> int:
        if sha256 not in self._first_ids:
            self._first_ids[sha256] = self._next
            self._next += self._num_patches
            if len(self._first_ids) > self._most:
                self._first_ids.popitem(last=False)
        self._first_ids.move_to_end(sha256)
        return self._first_ids[sha256]
