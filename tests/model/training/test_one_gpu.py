"""A run of one process sees one GPU, the one that its config names, and calls it what it is called then."""

from __future__ import annotations

import pytest

from model.training.one_gpu import SEVERAL, VISIBLE, narrow


@pytest.mark.parametrize(
    ("device", "before", "called", "after"),
    [
        ("auto", None, "auto", "0"),
        ("cuda", None, "cuda", "0"),
        ("cuda:1", None, "cuda", "1"),
        ("cuda:1", "4,6", "cuda", "6"),
        ("auto", "4, 6", "auto", "4"),
        ("cuda", "GPU-ab,GPU-cd", "cuda", "GPU-ab"),
    ],
)
def test_one_stays_in_view(device: str, before: str | None, called: str, after: str) -> None:
    environment = {} if before is None else {VISIBLE: before}
    assert narrow(device, environment) == called
    assert environment == {VISIBLE: after}


@pytest.mark.parametrize(
    ("device", "environment"),
    [
        ("cpu", {}),
        ("mps", {VISIBLE: "0,1"}),
        ("cuda:7", {VISIBLE: "0,1"}),  # refused by who looks for it
        ("auto", {VISIBLE: ""}),  # none is to be used
        ("cuda:one", {}),
        ("auto", {SEVERAL: "2"}),
        ("cuda", {SEVERAL: "2", VISIBLE: "0,1"}),
    ],
)
def test_the_rest_is_left_alone(device: str, environment: dict[str, str]) -> None:
    before = dict(environment)
    assert narrow(device, environment) == device and environment == before
