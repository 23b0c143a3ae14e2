"""Fingerprints: the same sight in another size or encoding is known again, another sight is not."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image, ImageDraw, ImageEnhance

from conversations.fingerprint import FINGERPRINT_LENGTH, bands, fingerprint, look_alike
from conversations.image_store import ImageStore
from tests.conversations.small_log import png


def scene(seed: int = 0, ground: str = "white", size: int = 256) -> Image.Image:
    """Some shapes on a ground."""
    chance = random.Random(seed)
    image = Image.new("RGB", (size, size), ground)
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        x, y, side = (chance.randrange(size * 3 // 4) for _ in range(3))
        draw.rectangle((x, y, x + side // 2 + 20, y + side // 2 + 20), fill=tuple(chance.randbytes(3)))
    return image


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@pytest.mark.parametrize("seed", range(5))
def test_size_encoding_and_a_little_light_change_nothing(seed: int) -> None:
    image = scene(seed)
    same = [
        image.resize((128, 128), Image.Resampling.LANCZOS),
        image.resize((640, 640), Image.Resampling.BICUBIC),
        as_jpeg(image, 60),
        ImageEnhance.Brightness(image).enhance(0.97),
    ]
    for other in same:
        assert look_alike(fingerprint(image), fingerprint(other))


def test_other_sights_are_told_apart() -> None:
    prints = [fingerprint(scene(seed)) for seed in range(30)]
    alike = [(a, b) for a in range(30) for b in range(a) if look_alike(prints[a], prints[b])]
    assert alike == []


def test_colour_alone_tells_pictures_apart() -> None:
    grounds = ["red", "green", "blue", "white", "black", "grey"]
    prints = [fingerprint(Image.new("RGB", (50, 40), ground)) for ground in grounds]
    assert all(look_alike(a, b) == (a is b) for a in prints for b in prints)


def test_those_that_look_alike_share_a_band() -> None:
    for seed in range(20):
        one, other = fingerprint(scene(seed)), fingerprint(as_jpeg(scene(seed), 50))
        assert look_alike(one, other)
        assert set(bands(one)) & set(bands(other))


def test_any_size_has_a_fingerprint_of_one_length() -> None:
    for size in ((1, 1), (1, 500), (3000, 2), (17, 16)):
        assert len(fingerprint(Image.new("RGB", size, "red"))) == FINGERPRINT_LENGTH


def test_the_store_knows_what_a_picture_looks_like_also_when_its_mark_is_gone(tmp_path) -> None:  # type: ignore[no-untyped-def]
    images = ImageStore(tmp_path)
    ref = images.add(png("red", (80, 60)))
    noted = images.fingerprint(ref.sha256)
    images.settle(ref.sha256)
    assert look_alike(noted, images.fingerprint(ref.sha256))
