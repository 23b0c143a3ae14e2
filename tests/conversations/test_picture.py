"""The door for pictures: every kind that is refused, every kind that is accepted, and nothing in between."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import warnings
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conversations.errors import PictureRefused
from conversations.picture import Upright, read_picture


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def read(data: bytes, max_bytes: int = 15_000_000, max_pixels: int = 40_000_000) -> Image.Image:
    picture: Upright = read_picture(data, max_bytes=max_bytes, max_pixels=max_pixels)
    assert picture.image.mode == "RGB"
    return picture.image


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def declared_png(width: int, height: int) -> bytes:
    """A few bytes that claim to be a large picture."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def declared_webp(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + bytes(20)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def gif(width: int, height: int, frames: list[tuple[int, int]]) -> bytes:
    """A GIF whose frames claim sizes of their own."""
    body = b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0)
    for size in frames:
        body += b"!\xf9\x04\0\0\0\0\0," + struct.pack("<HHHHB", 0, 0, *size, 0) + b"\x02\x02\x4c\x01\0"
    return body + b";"


def animated(file_format: str) -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    return encoded(frames[0], file_format, save_all=True, append_images=frames[1:], duration=100)


def cornered(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """White with a red top left corner, so that its orientation can be seen."""
    image = Image.new("RGB", size, "white")
    image.paste((255, 0, 0), (0, 0, size[0] // 4, size[1] // 4))
    return image


SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
PHOTO = cornered((64, 48))
REFUSED = {
    "zero bytes": (b"", "empty"),
    "not a picture": (b"GARBAGE" * 100, "only PNG, JPEG, WebP, GIF or BMP"),
    "text": (b"not a picture", "not a picture"),
    "svg": (SVG, "an SVG drawing"),
    "svg with a byte order mark": (b"\xef\xbb\xbf" + SVG, "an SVG drawing"),
    "pdf": (b"%PDF-1.7\n", "a PDF document"),
    "tiff": (encoded(PHOTO, "TIFF"), "a TIFF picture"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(64), "HEIC"),
    "png bomb": (declared_png(60_000, 60_000), "60,000 x 60,000 pixels; at most 40 million"),
    "gif bomb": (gif(9, 9, [(60_000, 60_000)]), "60,000 x 60,000 pixels; at most 40 million"),
    "webp bomb": (declared_webp(160_000, 16_000), "160,000 x 16,000 pixels; at most 40 million"),
    "long and thin": (declared_png(1, 39_000_000), "at most 30,000"),
    "no width": (declared_png(0, 5), "broken|no pixels"),
    "animated gif": (animated("GIF"), "animated"),
    "second frame larger": (gif(9, 9, [(9, 9), (60_000, 60_000)]), "animated|pixels"),
    "animated webp": (animated("WEBP"), "animated"),
    "animated png": (animated("PNG"), "animated"),
    "truncated png": (encoded(Image.effect_noise((64, 64), 80), "PNG")[:-900], "cut off"),
    "truncated jpeg": (encoded(Image.effect_noise((64, 64), 80), "JPEG")[:-900], "cut off"),
    "truncated webp": (encoded(PHOTO, "WEBP")[:-40], "cut off"),
    "truncated gif": (encoded(Image.effect_noise((64, 64), 80), "GIF")[:-900], "cut off"),
    "truncated bmp": (encoded(PHOTO, "BMP")[:-900], "cut off"),
    "only a png's first bytes": (b"\x89PNG\r\n\x1a\n", "cut off"),
    "only a webp's first bytes": (b"RIFF\0\0\0\0WEBP", "cut off"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_one_sentence_that_names_the_limit(name: str) -> None:
    data, says = REFUSED[name]
    with pytest.raises(PictureRefused, match=says) as refused:
        read(data)
    sentence = str(refused.value)
    assert sentence[0].isupper() and sentence.endswith(".") and "\n" not in sentence


def test_refuses_two_hundred_megabytes_without_looking_inside() -> None:
    with pytest.raises(PictureRefused, match=r"has 200 MB; at most 15 MB"):
        read(bytes(200_000_000))


def test_refuses_a_byte_over_the_limit_and_accepts_the_limit() -> None:
    data = encoded(PHOTO, "PNG")
    read(data, max_bytes=len(data))
    with pytest.raises(PictureRefused, match="at most"):
        read(data, max_bytes=len(data) - 1)


def test_refuses_a_pixel_over_the_limit_and_accepts_the_limit() -> None:
    read(encoded(PHOTO, "PNG"), max_pixels=64 * 48)
    with pytest.raises(PictureRefused, match="64 x 48 pixels"):
        read(encoded(PHOTO, "PNG"), max_pixels=64 * 48 - 1)


def test_a_bomb_is_refused_before_it_takes_memory_and_without_a_warning() -> None:
    tracemalloc.start()
    with warnings.catch_warnings(), pytest.raises(PictureRefused):
        warnings.simplefilter("error")
        read(declared_png(60_000, 60_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_pillows_own_limits_stay_as_they_were() -> None:
    before = (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    read(encoded(PHOTO, "PNG"))
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


def test_accepts_cmyk_in_its_colours() -> None:
    image = read(encoded(Image.new("RGB", (16, 16), (200, 30, 30)).convert("CMYK"), "JPEG", quality=95))
    red, green, blue = image.getpixel((8, 8))  # type: ignore[misc]
    assert red > 170 and green < 70 and blue < 70


@pytest.mark.parametrize(("level", "seen"), [(0, 0), (257, 1), (32_768, 128), (65_535, 255)])
def test_scales_sixteen_bit_grey_to_eight(level: int, seen: int) -> None:
    image = Image.new("I;16", (3, 2), level)
    assert read(encoded(image, "PNG")).getpixel((1, 1)) == (seen, seen, seen)


def test_accepts_sixteen_bit_colour() -> None:
    row = b"\0" + struct.pack(">HHH", 65_535, 32_768, 0) * 2
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    assert read(data).getpixel((1, 0)) == (255, 128, 0)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_what_is_transparent_is_seen_on_white(file_format: str) -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 4, 8))
    seen = read(encoded(image, file_format, lossless=True))
    assert seen.getpixel((1, 4)) == (0, 0, 255)
    assert seen.getpixel((6, 4)) == (255, 255, 255)


def test_half_transparent_is_mixed_with_white() -> None:
    assert read(encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 128)), "PNG")).getpixel((0, 0)) == (127, 127, 127)


def test_accepts_a_palette_with_a_transparent_colour() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((2, 2), 1)
    seen = read(encoded(image, "PNG", transparency=0))
    assert seen.getpixel((0, 0)) == (255, 255, 255)
    assert seen.getpixel((2, 2)) == (200, 100, 50)
    still = read(encoded(image, "GIF"))
    assert still.getpixel((0, 0)) == (10, 20, 30)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_accepts_every_mode_of_png(mode: str) -> None:
    image = read(encoded(Image.new("RGB", (5, 4), "white").convert(mode), "PNG"))
    assert image.size == (5, 4) and image.getpixel((2, 2)) == (255, 255, 255)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_accepts_the_smallest_and_the_thinnest(size: tuple[int, int], file_format: str) -> None:
    assert read(encoded(Image.new("RGB", size, "white"), file_format)).size == size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_turns_every_exif_orientation_upright(orientation: int, file_format: str) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    lying = cornered().transpose(undo[orientation]) if orientation in undo else cornered()
    exif = Image.Exif()
    exif[0x0112] = orientation
    seen = read(encoded(lying, file_format, exif=exif))
    assert seen.size == (40, 20)
    red, green, _ = seen.getpixel((3, 2))  # type: ignore[misc]
    assert red > 200 and green < 80
    assert min(seen.getpixel((36, 17))) > 200  # type: ignore[type-var, arg-type]


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_impossible_orientation_refuses_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert read(encoded(cornered(), "JPEG", exif=exif)).size == (40, 20)


def test_broken_exif_refuses_nothing() -> None:
    data = encoded(cornered(), "JPEG", exif=b"Exif\0\0" + b"\xff" * 40)
    assert read(data).size == (40, 20)


def test_accepts_a_gif_of_one_frame_and_a_png_of_one_frame() -> None:
    assert read(encoded(PHOTO, "GIF")).size == PHOTO.size
    assert read(encoded(PHOTO, "PNG", save_all=True)).size == PHOTO.size


def test_what_a_photo_is_follows_the_format() -> None:
    kinds = {"PNG": False, "GIF": False, "BMP": False, "JPEG": True, "WEBP": True}
    for file_format, photo in kinds.items():
        data = encoded(PHOTO, file_format)
        assert read_picture(data, max_bytes=len(data), max_pixels=10_000).photo is photo


SEEDS = [encoded(PHOTO, file_format) for file_format in ("PNG", "JPEG", "WEBP", "GIF", "BMP")]
SEEDS += [animated("GIF"), animated("PNG"), encoded(PHOTO.convert("P"), "PNG", transparency=0)]


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
@settings(max_examples=120, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 2**32), st.integers(1, 30), st.booleans())
def test_a_damaged_file_is_seen_or_refused_and_never_crashes(
    data: bytes, seed: int, num_changes: int, cut: bool
) -> None:
    rng = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(num_changes):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    if cut:
        del damaged[rng.randrange(len(damaged)) :]
    try:
        read(bytes(damaged), max_pixels=1_000_000)
    except PictureRefused as refused:
        assert str(refused).endswith(".")


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBPVP8 "]),
)
def test_any_bytes_at_all_are_refused_or_seen(body: bytes, magic: bytes) -> None:
    try:
        read(magic + body, max_pixels=100_000)
    except PictureRefused as refused:
        assert str(refused).endswith(".")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_lossless_formats_keep_every_pixel(width: int, height: int, seed: int) -> None:
    image = Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3))
    for file_format in ("PNG", "BMP"):
        assert read(encoded(image, file_format)).tobytes() == image.tobytes()
