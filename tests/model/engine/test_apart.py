"""What computes apart leaves no helper threads behind, gives its result and tells its failure."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

from model.engine.apart import apart


def num_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.skipif(sys.platform != "linux" or torch.get_num_threads() < 2, reason="no helper threads here")
def test_the_helpers_of_a_computation_end_with_it() -> None:
    before = num_threads()

    def compute() -> int:
        weights = torch.randn(512, 512)
        (weights @ weights).exp().sum()
        return num_threads()

    assert apart(compute) > before
    deadline = time.monotonic() + 180
    while (
        num_threads() > before and time.monotonic() < deadline
    ):  # a thread that has ended may be seen for a moment
        time.sleep(0.01)
    assert num_threads() <= before


def test_a_failure_is_raised_where_it_was_asked() -> None:
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 // 0)
