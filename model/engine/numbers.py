"""What an engine has done and holds, at one moment: for /health, /metrics and the benchmarks. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineNumbers:
    """Counts since the engine began, but for those that say "now". All are of one moment.

    `num_rows / num_steps` is the mean batch, `num_reused_tokens / num_prompt_tokens` the share of prompts that was not
    read again.
    """

    num_running: int = 0  # now: answers being made, those whose prompt is being read included
    num_waiting: int = 0  # now: in line
    num_tokens_made: int = 0  # drawn, ends of sequence included
    num_prompt_tokens: int = 0  # read or reused
    num_reused_tokens: int = 0  # prompt tokens found in the cache
    num_steps: int = 0  # forward passes of the language model
    num_rows: int = 0  # token rows over all steps, prompt and answer
    cache_bytes: int = 0  # now: keys and values, of running answers and of remembered prefixes
    cache_budget_bytes: int = 0  # the most that they may take
    num_slots: int = 0  # how many answers can be made at once
    num_pictures_encoded: int = 0  # runs of the vision tower, one a picture
    num_pictures_remembered: int = 0  # now: pictures whose features are kept


@dataclass(slots=True)
class EngineCounts:
    """What the engine's thread counts as it goes."""

    num_tokens_made: int = 0
    num_prompt_tokens: int = 0
    num_reused_tokens: int = 0
    num_steps: int = 0
    num_rows: int = 0
