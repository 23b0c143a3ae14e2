"""Any set of tensors, cut at any size, reads back as it was."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.checkpoint.shards import write_shards
from model.checkpoint.weights import Weights

DTYPES = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=3)
TENSORS = st.dictionaries(
    st.from_regex(r"[a-z]{1,4}(\.[a-z]{1,3})?", fullmatch=True), st.tuples(SHAPES, DTYPES), min_size=1
)


@settings(deadline=None, max_examples=40)
@given(shapes=TENSORS, max_shard_bytes=st.integers(1, 400))
def test_tensors_read_back_bit_for_bit(shapes, max_shard_bytes: int) -> None:
    tensors = {name: torch.randn(shape).to(dtype) for name, (shape, dtype) in shapes.items()}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        total = write_shards(folder, tensors.items(), max_shard_bytes=max_shard_bytes)
        weights = Weights.of_folder(folder)
        assert weights.keys == set(tensors)
        assert all(torch.equal(weights.get(name), tensor) for name, tensor in tensors.items())
        assert all(weights.get(name).dtype == tensor.dtype for name, tensor in tensors.items())
        weights.close()
        assert total == sum(tensor.nbytes for tensor in tensors.values())
        for path in folder.glob("model-*.safetensors"):
            held = [name for name in tensors if weights.file_of(name) == path]
            assert len(held) == 1 or sum(tensors[name].nbytes for name in held) <= max_shard_bytes
        if index := list(folder.glob("*.index.json")):
            assert json.loads(index[0].read_text())["metadata"]["total_size"] == total
            assert len(list(folder.glob("model-*.safetensors"))) > 1
        else:
            assert [path.name for path in folder.iterdir()] == ["model.safetensors"]


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    pairs = [("a", torch.zeros(1)), ("a", torch.ones(1))]
    with pytest.raises(ValueError, match="a comes twice"):
        write_shards(tmp_path, pairs)


def test_views_and_transposed_tensors_are_written_by_themselves(tmp_path: Path) -> None:
    table = torch.arange(12.0).reshape(3, 4)
    write_shards(tmp_path, [("cut", table[:2]), ("turned", table.T)])
    weights = Weights.of_folder(tmp_path)
    assert torch.equal(weights.get("cut"), table[:2]) and torch.equal(weights.get("turned"), table.T)
    assert (tmp_path / "model.safetensors").stat().st_size < 300


def test_other_people_may_read_what_they_may_list(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write_shards(tmp_path, [("a", torch.zeros(1))])
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644
