"""Which device a job takes: by what CUDA would make of CUDA_VISIBLE_DEVICES, and never a question to torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.job_devices import Device, Devices, visible_gpus

LISTED = [("0", "GPU-aaaa-1"), ("1", "GPU-bbbb-2"), ("2", "GPU-bbcc-3")]


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (None, ["cuda:0", "cuda:1", "cuda:2"]),
        ("", []),
        ("-1", []),
        ("2,0", ["cuda:2", "cuda:0"]),
        ("1,-1,2", ["cuda:1"]),
        ("0,7,1", ["cuda:0"]),
        ("GPU-bbbb", ["cuda:1"]),
        (" 1 , 2 ", ["cuda:1", "cuda:2"]),
        ("MIG-GPU-aaaa-1/3/0", ["cuda:MIG-GPU-aaaa-1/3/0"]),
    ],
)
def test_gpus_are_those_that_cuda_would_see(names: str | None, keys: list[str]) -> None:
    assert [each.key for each in visible_gpus(names, LISTED)] == keys


def test_without_nvidia_smi_what_is_named_is_believed() -> None:
    assert visible_gpus(None, []) == ()
    assert visible_gpus("1", []) == (Device("cuda:1", "1"),)


def test_a_name_means_a_device_as_cuda_counts_them() -> None:
    several = Devices(visible_gpus("2,1", LISTED))
    assert [each.key for each in several.wanted("auto")] == ["cuda:2", "cuda:1"]
    assert [each.key for each in several.wanted("cuda")] == ["cuda:2"]
    assert [each.key for each in several.wanted("cuda:1")] == ["cuda:1"] and several.wanted("cuda:1")[
        0
    ].visible == "1"
    assert several.wanted("cpu") == (Device("cpu"),)
    none = Devices()
    assert none.wanted("auto") == none.wanted("cpu") == (Device("cpu"),)
    assert none.wanted("cuda") == (Device("cuda:0"),) == none.wanted("cuda:0")
    assert Devices(without=Device("mps")).wanted("auto") == (Device("mps"),)


@pytest.mark.parametrize("name", ["cuda:9", "cuda:x", "cuda:²", "gpu", "", "x" * 500, "cuda:-1"])
def test_a_name_that_nobody_knows_is_a_device_of_its_own(name: str) -> None:
    (found,) = Devices(visible_gpus(None, LISTED)).wanted(name)
    assert found == Device(name[:100])


def test_the_gpus_are_asked_for_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for script, keys in (
        ("echo '0, GPU-aaaa'; echo '1, GPU-bbbb'", ["cuda:0", "cuda:1"]),
        ("echo 'No devices were found'; exit 6", []),
        ("echo 'No devices were found'", []),
    ):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        assert [each.key for each in Devices.find({}).gpus] == keys
    program.unlink()
    assert Devices.find({}).gpus == ()
    assert [each.key for each in Devices.find({"CUDA_VISIBLE_DEVICES": "3"}).gpus] == ["cuda:3"]
