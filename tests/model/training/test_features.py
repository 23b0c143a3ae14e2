"""The tower's features from their file are what the tower computes, and only of the pictures that they were made of."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.llava import Llava
from model.pixels import PixelConfig
from model.training import features
from model.training.features import FeatureSource, PixelSource, tower_features
from tests.model.tiny import tiny_llava

PIXELS = PixelConfig(size=32)


@pytest.fixture(scope="module")
def llava() -> Llava:
    return tiny_llava()[0]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """More than a batch of them."""
    paths = [tmp_path / f"{number}.png" for number in range(features.BATCH + 3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (30, 20 + number), (9 * number, 100, 255 - 9 * number)).save(path)
    return paths


def encoded(llava: Llava, pictures: list[Path], folder: Path, model: str = "base") -> FeatureSource:
    return features.encode(
        llava, PixelSource(pictures, PIXELS), len(pictures), folder, lambda _: None, model=model
    )


def test_features_are_what_the_projector_reads_in_the_models_own_way(
    llava: Llava, pictures: list[Path]
) -> None:
    pixels = PixelSource(pictures, PIXELS).get([0, 5])
    with torch.no_grad():
        projected = llava.model.multi_modal_projector(tower_features(llava, pixels))
        torch.testing.assert_close(projected, llava.image_features(pixels))


def test_several_layers_and_the_class_token_as_the_config_says(pictures: list[Path]) -> None:
    llava = tiny_llava()[0]
    llava.config.vision_feature_layer = [-2, -1]
    llava.config.vision_feature_select_strategy = "full"
    pixels = PixelSource(pictures, PIXELS).get([0])
    with torch.no_grad():
        found = tower_features(llava, pixels)
        hidden = llava.model.vision_tower(pixels, output_hidden_states=True).hidden_states
    assert found.shape == (1, 17, 64)
    assert torch.equal(found, torch.cat([hidden[-2], hidden[-1]], dim=-1))


def test_each_row_is_its_own_pictures(tmp_path: Path, llava: Llava, pictures: list[Path]) -> None:
    source = encoded(llava, pictures, tmp_path)
    places = [18, 0, 7, 7]
    with torch.no_grad():
        right = tower_features(llava, PixelSource(pictures, PIXELS).get(places))
    torch.testing.assert_close(source.get(places), right, atol=1e-5, rtol=1e-5)
    assert (tmp_path / features.NAME).stat().st_size == features.num_bytes(llava, len(pictures))


def test_a_model_in_half_precision_keeps_half_as_much(tmp_path: Path, pictures: list[Path]) -> None:
    llava = tiny_llava()[0].to(torch.bfloat16)
    source = encoded(llava, pictures, tmp_path)
    assert source.get([0]).dtype == torch.float16
    assert features.num_bytes(llava, 2) == 2 * 16 * 32 * 2


def test_an_interrupted_file_is_gone_on_with(tmp_path: Path, llava: Llava, pictures: list[Path]) -> None:
    seen: list[float] = []

    def stop(fraction: float) -> None:
        seen.append(fraction)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features.encode(llava, PixelSource(pictures, PIXELS), len(pictures), tmp_path, stop, model="base")
    rows = np.fromfile(tmp_path / features.NAME, dtype=np.float32)
    Image.new("RGB", (9, 9)).save(pictures[0].with_name("other.png"))
    progress: list[float] = []
    source = features.encode(
        llava, PixelSource(pictures, PIXELS), len(pictures), tmp_path, progress.append, model="base"
    )
    assert progress == [1.0], "the first batch was not computed again"
    assert np.array_equal(source.get(range(features.BATCH)).numpy().ravel(), rows)
    assert len(source.get([18])) == 1


@pytest.mark.parametrize("change", ["picture", "base", "preparation", "number"])
def test_features_of_something_else_are_not_taken(
    tmp_path: Path, llava: Llava, pictures: list[Path], change: str
) -> None:
    before = encoded(llava, pictures, tmp_path).get([0]).clone()
    pixels, model = PIXELS, "base"
    if change == "picture":
        Image.new("RGB", (30, 20), (200, 200, 0)).save(pictures[0])
        os.utime(pictures[0], ns=(1, 1))
    elif change == "base":
        llava, model = tiny_llava(seed=1)[0], "other"
    elif change == "preparation":
        pixels = PixelConfig(size=32, fit="pad")
    else:
        pictures = pictures[1:]
    source = PixelSource(pictures, pixels)
    after = features.encode(llava, source, len(pictures), tmp_path, lambda _: None, model=model).get([0])
    assert not torch.equal(before, after)


def test_a_picture_that_cannot_be_read_is_named_and_costs_no_other(
    tmp_path: Path, llava: Llava, pictures: list[Path]
) -> None:
    pictures[1].write_bytes(b"none")
    pictures[18].unlink()
    source = encoded(llava, pictures, tmp_path)
    assert source.broken == {1, 18}
    with pytest.raises(OSError, match="could not be read"):
        source.get([0, 18])
    with torch.no_grad():
        right = tower_features(llava, PixelSource(pictures, PIXELS).get([17]))
    torch.testing.assert_close(source.get([17]), right, atol=1e-5, rtol=1e-5)
    assert encoded(llava, pictures, tmp_path).broken == {1, 18}, "as it was written down"


def test_a_file_beside_nonsense_is_made_anew(tmp_path: Path, llava: Llava, pictures: list[Path]) -> None:
    right = encoded(llava, pictures, tmp_path).get([3]).clone()
    (tmp_path / features.DONE).write_text(json.dumps({"shape": 3}))
    (tmp_path / features.NAME).write_bytes(b"half")
    assert torch.equal(encoded(llava, pictures, tmp_path).get([3]), right)
    features.forget(tmp_path)
    assert not (tmp_path / features.NAME).exists()
    features.forget(tmp_path)


def test_it_pays_where_pictures_come_again_and_the_disk_has_room(tmp_path: Path) -> None:
    assert features.pays("auto", tmp_path, 10**6, 2.0)
    assert not features.pays("auto", tmp_path, 10**6, 1.0)
    assert not features.pays("auto", tmp_path, 10**18, 2.0)
    assert not features.pays("auto", tmp_path, 0, 2.0)
    assert features.pays("on", tmp_path, 10**6, 1.0)
    assert not features.pays("off", tmp_path, 10**6, 9.0)
