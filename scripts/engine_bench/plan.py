"""How much is asked in each row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of tokens, streams and conversations. FULL is what the table is about, QUICK only tries the script."""

    answer_tokens: int = 64
    history_tokens: int = 700  # what stands before a second turn, its first answer included
    num_streams: int = 8
    crowd: int = 32  # conversations at once
    crowd_pictures: int = 8
    crowd_turns: int = 3
    crowd_answer_tokens: int = 24
    crowd_sample: int = 4  # how many of the crowd `generate` answers; its time for all is in proportion
    greedy_talks: int = 12
    short_prompt_tokens: int = 128  # before the decoding that is compared with llama.cpp's
    slot_tokens: int = 1024  # in each of `num_streams` slots when memory is measured


FULL = Plan()
QUICK = Plan(
    answer_tokens=6,
    history_tokens=90,
    num_streams=2,
    crowd=4,
    crowd_pictures=2,
    crowd_turns=2,
    crowd_answer_tokens=3,
    crowd_sample=1,
    greedy_talks=3,
    short_prompt_tokens=24,
    slot_tokens=120,
)
