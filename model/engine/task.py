"""One request as the engine sees it: its ids, how far it has been read, and the answer in the making. No torch here."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model.engine.errors import PromptTooLong
from model.engine.job import Job
from model.engine.remembered import Remembered
from model.engine.request import GenerationRequest
from model.engine.slots import Slot
from model.engine.streams import AnswerStream
from model.engine.virtual_ids import PictureSpan

if TYPE_CHECKING:
    from model.engine.adapter import Adapter


@dataclass(eq=False, slots=True)
class Task:
    """`ids` is the prompt with virtual ids; the first `num_read` of them are in the slot."""

    job: Job
    ids: tuple[int, ...]
    spans: tuple[PictureSpan, ...]
    max_tokens: int
    answer: AnswerStream
    chance: random.Random  # the request's own, so that its seed means the same in whatever batch
    adapter: Adapter | None = None
    slot: Slot | None = None
    num_read: int = 0
    token: int | None = None  # drawn, and to be read next
    has_waited: bool = False  # others were before it when it came
    num_passed: int = 0  # how many that came later were read before it
    position: int = 0  # in the line, as it was last told; 0: not yet
    remembered: Remembered = field(init=False)

    def __post_init__(self) -> None:
        self.remembered = Remembered(self.key, self.ids)

    @property
    def request(self) -> GenerationRequest:
        return self.job.request

    @property
    def key(self) -> int:
        """Whose keys and values may be shared: 0 is the base model."""
        return 0 if self.adapter is None else self.adapter.key

    @property
    def most_tokens(self) -> int:
        """The longest that prompt and answer may become in the cache: the last token drawn is never read."""
        return len(self.ids) + self.max_tokens - 1

    @property
    def num_left(self) -> int:
        """Tokens of the prompt that are still to be read."""
        return len(self.ids) - self.num_read

    @property
    def held_slot(self) -> Slot:
        """The slot, once there is one."""
        if self.slot is None:
            raise RuntimeError("this request has no slot yet")
        return self.slot


def room_for_answer(request: GenerationRequest, context_tokens: int) -> int:
    """How many tokens the answer may have: what was asked for, clamped to what the context leaves.

    Raises PromptTooLong where not one token fits.
    """
    left = context_tokens - len(request.input_ids)
    if left < 1:
        raise PromptTooLong(len(request.input_ids), context_tokens)
    return min(request.sampling.max_new_tokens, left)
