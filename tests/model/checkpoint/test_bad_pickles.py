"""Weights in pickles, whole, cut short, and wanting more than tensors: refused by name, and never run."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model.checkpoint import (
    CheckpointFormatError,
    UnsupportedCheckpoint,
)
from tests.model.checkpoint.made import write_parts
from tests.model.checkpoint.test_bad_input import load


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Full, base and tower, that a test may break."""
    write_parts(tmp_path / "parts")
    return tmp_path / "parts"


def pickled(folder: Path, content: object) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin")


class Wants:
    """A pickle that runs something when it is opened."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return print, ("code of a pickle was run",)


@pytest.mark.parametrize("kept", [0, 3, 2000, -1000])
def test_a_truncated_pickle_is_named_with_its_size(parts: Path, kept: int) -> None:
    path = parts / "full" / "pytorch_model.bin"
    pickled(parts / "full", load_file(parts / "full" / "model.safetensors"))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointFormatError, match=r"pytorch_model\.bin is cut short or damaged .* bytes"):
        load(parts)


@pytest.mark.parametrize("old_format", [False, True])
def test_pickles_of_tensors_are_read_old_ones_too(parts: Path, old_format: bool) -> None:
    expected = load(parts).model.state_dict()
    tensors = load_file(parts / "full" / "model.safetensors")
    (parts / "full" / "model.safetensors").unlink()
    torch.save(tensors, parts / "full" / "pytorch_model.bin", _use_new_zipfile_serialization=not old_format)
    found = load(parts).model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_pickle_that_wants_more_than_tensors_is_refused_by_name(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pickled(parts / "full", {"lm_head.weight": Wants()})
    with pytest.raises(
        UnsupportedCheckpoint, match=r"pytorch_model\.bin is a pickle that wants to load .*print.*code"
    ):
        load(parts)
    assert "was run" not in capsys.readouterr().out


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("archive", [True, False, None], ids=["archive", "old archive", "plain pickle"])
def test_a_pickle_of_any_protocol_is_refused_by_the_name_of_what_it_wants(
    parts: Path, protocol: int, archive: bool | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path, content = parts / "full" / "pytorch_model.bin", {"a": torch.ones(2), "lm_head.weight": Wants()}
    (parts / "full" / "model.safetensors").unlink()
    if archive is None:
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    else:
        torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=archive)
    with pytest.raises(
        UnsupportedCheckpoint, match=r"pytorch_model\.bin is a pickle that wants to load .*print, "
    ):
        load(parts)
    assert "was run" not in capsys.readouterr().out


def test_a_pickle_of_a_whole_network_is_refused_by_its_class(parts: Path) -> None:
    pickled(parts / "full", torch.nn.Linear(2, 2))
    with pytest.raises(
        UnsupportedCheckpoint, match=r"wants to load torch\.nn\.modules\.linear\.Linear, which"
    ):
        load(parts)


def test_a_newer_pickle_of_tensors_alone_is_told_as_such(parts: Path) -> None:
    path = parts / "full" / "pytorch_model.bin"
    pickled(parts / "full", {})
    torch.save({"lm_head.weight": torch.ones(2)}, path, pickle_protocol=4)
    with pytest.raises(
        UnsupportedCheckpoint, match=r"is a pickle of protocol 4; only those up to 3 .*save that"
    ):
        load(parts)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {1: torch.ones(1)}])
def test_a_pickle_of_something_else_is_named(parts: Path, content: object) -> None:
    pickled(parts / "full", content)
    with pytest.raises(CheckpointFormatError, match=r"pytorch_model\.bin holds no table of tensors"):
        load(parts)
