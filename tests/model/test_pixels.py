"""Pixels equal CLIP's own preprocessing, and no mode or shape of picture breaks it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from model import pixels
from model.pixels import CLIP_MEAN, CLIP_STD, PixelConfig, PixelConfigError, pixel_values

ONE_STEP = 1 / 255 / min(CLIP_STD)  # one step of 8-bit colour, after normalisation


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth enough to look like a picture, rough enough to show a shift by one pixel."""
    values = numpy.random.default_rng(seed).integers(0, 256, (max(1, height // 3), max(1, width // 3), 3))
    return Image.fromarray(values.astype("uint8")).resize((width, height))


def clips_own(picture: Image.Image, size: int) -> torch.Tensor:
    processor = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    return processor(picture, return_tensors="pt")["pixel_values"]


@pytest.mark.parametrize("edges", [(64, 48), (48, 64), (33, 100), (224, 224), (500, 375), (20, 17), (32, 90)])
def test_crop_equals_clips_processor(edges: tuple[int, int]) -> None:
    picture = noise(*edges)
    ours = pixel_values([picture], PixelConfig(size=32))
    assert (ours - clips_own(picture, 32)).abs().max() <= ONE_STEP + 1e-5


@pytest.mark.parametrize(
    "edges", [(64, 48), (31, 100), (32, 32), (500, 375), (375, 501), (1600, 901), (3, 700)]
)
def test_pad_puts_the_picture_on_a_square_of_the_mean_colour(edges: tuple[int, int]) -> None:
    picture = noise(*edges)
    square = Image.new("RGB", (max(edges), max(edges)), (122, 116, 104))
    square.paste(picture, ((max(edges) - edges[0]) // 2, (max(edges) - edges[1]) // 2))
    ours = pixel_values([picture], PixelConfig(size=32, fit="pad"))
    assert (ours - clips_own(square, 32)).abs().max() <= ONE_STEP + 1e-5


@settings(max_examples=30)
@given(width=st.integers(1, 300), height=st.integers(1, 300), band=st.sampled_from([1, 1000, 10**6]))
def test_padding_in_bands_gives_the_numbers_of_the_whole_square(width: int, height: int, band: int) -> None:
    picture, edge = noise(width, height), max(width, height)
    square = Image.new("RGB", (edge, edge), (122, 116, 104))
    square.paste(picture, ((edge - width) // 2, (edge - height) // 2))
    config = PixelConfig(size=24, fit="pad")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels, "BAND_PIXELS", band)
        assert torch.equal(pixel_values([picture], config), pixel_values([square], config))


def test_the_pictures_keep_their_order_and_no_picture_is_no_row() -> None:
    config = PixelConfig(size=8, mean=(0, 0, 0), std=(1, 1, 1))
    red, blue = Image.new("RGB", (20, 10), "red"), Image.new("RGB", (9, 30), "blue")
    values = pixel_values([red, blue], config)
    assert values.shape == (2, 3, 8, 8)
    assert values.dtype == torch.float32
    assert values[0, :, 4, 4].tolist() == [1, 0, 0]
    assert values[1, :, 4, 4].tolist() == [0, 0, 1]
    assert pixel_values([], config).shape == (0, 3, 8, 8)


def test_values_are_normalised_by_mean_and_spread() -> None:
    values = pixel_values([Image.new("RGB", (8, 8), "white")], PixelConfig(size=8))
    expected = [(1 - mean) / std for mean, std in zip(CLIP_MEAN, CLIP_STD, strict=True)]
    assert values[0, :, 0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "CMYK", "LA", "YCbCr"])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_every_mode_is_taken(mode: str, fit: str) -> None:
    values = pixel_values([noise(30, 20).convert(mode)], PixelConfig(size=16, fit=fit))
    assert values.shape == (1, 3, 16, 16)


@settings(max_examples=30)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    size=st.integers(1, 40),
    fit=st.sampled_from(["crop", "pad"]),
)
def test_every_shape_gives_a_square(width: int, height: int, size: int, fit: str) -> None:
    values = pixel_values([Image.new("RGB", (width, height), "red")], PixelConfig(size=size, fit=fit))
    assert values.shape == (1, 3, size, size)
    assert torch.isfinite(values).all()


@pytest.mark.parametrize("edges", [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_thin_pictures_are_taken(edges: tuple[int, int], fit: str) -> None:
    assert pixel_values([noise(*edges)], PixelConfig(size=224, fit=fit)).shape == (1, 3, 224, 224)


@pytest.fixture
def largest_made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many pixels each new picture had, that was made while the test ran."""
    sizes = [0]
    new, resize = Image.new, Image.Image.resize

    def noting_new(mode: str, size: tuple[int, int], *rest: object) -> Image.Image:
        sizes.append(size[0] * size[1])
        assert sizes[-1] < 50_000_000, f"a picture of {size} was made"
        return new(mode, size, *rest)

    def noting_resize(self: Image.Image, size: tuple[int, int], *rest: object, **more: object) -> Image.Image:
        sizes.append(size[0] * size[1])
        assert sizes[-1] < 50_000_000, f"a picture was resized to {size}"
        return resize(self, size, *rest, **more)

    monkeypatch.setattr(Image, "new", noting_new)
    monkeypatch.setattr(Image.Image, "resize", noting_resize)
    yield sizes


@pytest.mark.parametrize("edges", [(30_000, 1), (1, 30_000), (6000, 4000), (1_000_000, 3)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_long_picture_takes_little_memory(
    edges: tuple[int, int], fit: str, largest_made: list[int]
) -> None:
    picture = Image.new("RGB", edges, "white")
    del largest_made[1:]
    assert pixel_values([picture], PixelConfig(size=224, fit=fit)).shape == (1, 3, 224, 224)
    assert max(largest_made) <= 224 * 20_000  # the square of the longest edge would be 36 million and more


@pytest.mark.parametrize("edges", [(12_000, 300), (300, 12_000)])
def test_a_very_long_picture_keeps_its_place_and_colour(edges: tuple[int, int]) -> None:
    picture = Image.new("L", edges, 255)
    values = pixel_values([picture], PixelConfig(size=80, fit="pad", mean=(0, 0, 0), std=(1, 1, 1)))[0, 0]
    values = values if edges[0] > edges[1] else values.T
    assert values[39:41].min() > 0.9
    assert values[:37].max() < 0.1
    assert values[43:].max() < 0.1


def test_a_config_comes_back_from_its_mapping() -> None:
    config = PixelConfig(size=48, fit="pad")
    assert PixelConfig.from_mapping(config.as_mapping()) == config


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "size"),
        ({"size": 0}, "size is 0"),
        ({"size": "32"}, "size is '32'"),
        ({"size": True}, "size is True"),
        ({"size": 32, "fit": "stretch"}, "'stretch'.*'crop' or 'pad'"),
        ({"size": 32, "mean": [0.5]}, "mean"),
        ({"size": 32, "mean": 0.5}, "mean is 0.5"),
        ({"size": 32, "std": [1, 1, 0]}, "std"),
        ({"size": 32, "std": [1, 1, float("nan")]}, "std"),
        ({"size": 32, "mean": [float("inf"), 0, 0]}, "mean"),
        ({"size": 32, "mean": [True, 0, 0]}, "mean"),
        ({"size": 32, "colour": 1}, "colour"),
    ],
)
def test_a_config_that_cannot_be_used_names_the_value(values: dict, named: str) -> None:
    with pytest.raises(PixelConfigError, match=named):
        PixelConfig.from_mapping(values)
