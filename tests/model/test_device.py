"""The device and the number format that "auto" stands for, and names that stand for nothing."""

from __future__ import annotations

import pytest
import torch

from model import device
from model.checkpoint_errors import DeviceError
from model.device import choose_device, choose_dtype


@pytest.mark.parametrize(
    ("kind", "bfloat16", "expected"),
    [
        ("cpu", True, torch.float32),
        ("mps", True, torch.float32),
        ("cuda", True, torch.bfloat16),
        ("cuda:0", False, torch.float16),
    ],
)
def test_the_format_auto_is_what_the_device_does_best(
    monkeypatch: pytest.MonkeyPatch, kind: str, bfloat16: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(device, "_computes_in_bfloat16", lambda _: bfloat16)
    assert choose_dtype("auto", torch.device(kind)) == expected


def test_a_format_by_name_is_that_format_on_every_device() -> None:
    for name in ("float32", "bfloat16", "float16"):
        assert choose_dtype(name, torch.device("cpu")) == getattr(torch, name)


@pytest.mark.parametrize("name", ["", "int4", "float99", "torch.float16"])
def test_an_unknown_format_is_named_with_the_known_ones(name: str) -> None:
    with pytest.raises(DeviceError, match=f"{name!r}.*auto or one of: float32"):
        choose_dtype(name, torch.device("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_the_device_here_computes_in_the_format_that_auto_names() -> None:
    gpu = choose_device("auto")
    dtype = choose_dtype("auto", gpu)
    assert gpu.type == "cuda"
    ones = torch.ones(4, 4, dtype=dtype, device=gpu)
    assert float((ones @ ones).sum()) == 64


def test_the_device_auto_is_one_of_this_machine() -> None:
    assert torch.zeros(1, device=choose_device("auto")).tolist() == [0]
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "cuda:-1", "cpu:x", ""])
def test_a_device_that_is_not_here_is_named(name: str) -> None:
    with pytest.raises(DeviceError, match=r"choose auto|--device cpu"):
        choose_device(name)
