"""The table for a GPU, run on a CPU with a tiny model: the script itself must not fail there for the first time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model import checkpoint
from scripts.engine_bench.bandwidth import copy_bandwidth, read_bytes, rows
from scripts.engine_bench.plan import QUICK
from scripts.engine_bench.random_model import TINY, write_random_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("tiny"), TINY)


@pytest.mark.parametrize("quantize", ["none", "4bit"])
def test_the_rows_are_measured_in_bf16_and_in_4_bit(folder: Path, quantize: str) -> None:
    share, streams = rows(folder, QUICK, 1, device="cpu", quantize=quantize, copy_bytes=1 << 20)
    assert share.value is not None and share.value > 0
    assert streams.value is not None and streams.value >= 0  # 0: such short answers need not overlap


def test_a_token_reads_every_layer_but_no_embedding_table(folder: Path) -> None:
    model = checkpoint.load(folder).model
    layers = sum(weight.numel() for weight in model.model.language_model.layers.parameters())
    expected = layers + TINY.width + TINY.vocab_size * TINY.width  # the last norm and the head
    assert read_bytes(checkpoint.load(folder)) == 4 * expected


def test_a_copy_moves_bytes() -> None:
    assert copy_bandwidth(torch.device("cpu"), 1 << 20) > 1e6
