"""What the memory row subtracts is what is really there."""

from __future__ import annotations

import mmap
import time

from scripts.engine_bench.memory_program import SAMPLE_SECONDS, Peak, cache_bytes, resident_bytes
from tests.model.tiny import tiny_llava

MEGABYTE = 1 << 20


def test_memory_that_was_there_for_a_moment_is_seen() -> None:
    before = resident_bytes()
    # Mapped, because an allocator may hand out memory that is there already.
    with Peak() as peak, mmap.mmap(-1, 64 * MEGABYTE) as held:
        held.write(b"x" * (64 * MEGABYTE))
        assert resident_bytes() - before > 32 * MEGABYTE
        until = time.monotonic() + 180  # the watcher looks again as soon as it gets the processor
        while peak.bytes - before <= 32 * MEGABYTE and time.monotonic() < until:
            time.sleep(SAMPLE_SECONDS)
    assert peak.bytes - before > 32 * MEGABYTE


def test_the_cache_of_a_token_is_its_keys_and_values_in_every_layer() -> None:
    config = tiny_llava()[0].config.text_config  # 2 layers, 2 key/value heads of 8
    assert cache_bytes(config, num_tokens=3, bytes_each=4) == 3 * 2 * 2 * 2 * 8 * 4
