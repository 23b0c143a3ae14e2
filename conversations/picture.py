"""The door for pictures: bytes from a stranger become an upright RGB picture, or a sentence that says why
not.

The size is read from the header and checked before a single pixel is decoded, so that a small file which
declares 60,000 x 60,000 pixels costs nothing. Pillow's readers are used one by one, not through `Image.open`,
which would try about fifty formats and whose warning about huge pictures is a switch for the whole process.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from conversations.errors import PictureRefused
from conversations.picture_header import gif_canvas, webp_size

MAX_SIDE = 30_000
"""Pixels; a JPEG file cannot be longer than 65,535, and nothing useful is longer than this."""

_ACCEPTED = "PNG, JPEG, WebP, GIF or BMP"
_ANIMATED = "The picture is animated; only still pictures of one frame are accepted."
_READERS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"\xff\xd8\xff", JpegImageFile),
    (b"GIF87a", GifImageFile),
    (b"GIF89a", GifImageFile),
    (b"RIFF", WebPImageFile),
    (b"BM", BmpImageFile),
)
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {  # EXIF 2.32, table 6: how the stored picture must be turned to stand upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's readers raise on broken files, besides OSError; everything else is a fault of ours.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Upright:
    """A decoded picture in RGB. `photo` tells a format that loses detail from one that keeps every pixel."""

    image: Image.Image
    photo: bool


def read_picture(data: bytes, *, max_bytes: int, max_pixels: int) -> Upright:
    """Decode what somebody sent. Raises PictureRefused, whose sentence names the limit that was broken."""
    if not data:
        raise PictureRefused("The file is empty; send a picture of at least one pixel.")
    if len(data) > max_bytes:
        raise PictureRefused(
            f"The file has {_megabytes(len(data))} MB; at most {_megabytes(max_bytes)} MB are accepted."
        )
    reader = _reader(data)
    try:
        _check_header(reader, data, max_pixels)
        with reader(io.BytesIO(data)) as picture:
            _check_size(picture.size, max_pixels)
            if isinstance(picture, (PngImageFile, WebPImageFile)) and picture.is_animated:
                raise PictureRefused(_ANIMATED)
            picture.load()
            _check_size(picture.size, max_pixels)
            return Upright(
                _turned(_to_rgb(picture), _orientation(picture)), reader in (JpegImageFile, WebPImageFile)
            )
    except PictureRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureRefused(f"The picture is far too large; {_too_many_pixels(max_pixels)}") from error
    except MemoryError as error:
        raise PictureRefused(
            "There is not enough memory to decode this picture; send a smaller one."
        ) from error
    except _BROKEN as error:
        raise PictureRefused(
            f"The picture is broken or cut off and cannot be read; send a whole {_ACCEPTED} file."
        ) from error


def _check_header(reader: type[ImageFile], data: bytes, max_pixels: int) -> None:
    """What must be known before Pillow's reader opens the file at all."""
    if reader is WebPImageFile:
        _check_size(webp_size(data), max_pixels)
    elif reader is GifImageFile:
        size, num_frames = gif_canvas(data)
        _check_size(size, max_pixels)
        if num_frames > 1:
            raise PictureRefused(_ANIMATED)


def _reader(data: bytes) -> type[ImageFile]:
    for magic, reader in _READERS:
        if data.startswith(magic) and (reader is not WebPImageFile or data[8:12] == b"WEBP"):
            return reader
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kind = "not a picture of a known format"
    if b"<svg" in head:
        kind = "an SVG drawing"
    elif data[4:8] == b"ftyp":
        kind = "an AVIF or HEIC picture or a film"
    elif data[:4] in (b"II*\0", b"MM\0*"):
        kind = "a TIFF picture"
    elif data.startswith(b"%PDF"):
        kind = "a PDF document"
    raise PictureRefused(f"The file is {kind}; only {_ACCEPTED} pictures are accepted.")


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise PictureRefused("The picture has no pixels; send one of at least 1 x 1.")
    if width * height > max_pixels:
        raise PictureRefused(f"The picture has {width:,} x {height:,} pixels; {_too_many_pixels(max_pixels)}")
    if max(size) > MAX_SIDE:
        raise PictureRefused(
            f"The picture's longer side has {max(size):,} pixels; at most {MAX_SIDE:,} are accepted."
        )


def _too_many_pixels(max_pixels: int) -> str:
    return f"at most {max_pixels / 1e6:g} million pixels are accepted."


def _megabytes(num_bytes: int) -> str:
    return f"{max(num_bytes, 100_000) / 1e6:.1f}".removesuffix(".0")


def _to_rgb(picture: Image.Image) -> Image.Image:
    """8-bit RGB. What is transparent is seen on white; 16-bit grey is scaled, where Pillow alone would clip
    it."""
    if picture.mode.startswith("I"):
        return picture.convert("I").point(lambda level: level * (1 / 257) + 0.5).convert("L").convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGB", layer.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    return picture.convert("RGB")


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or it cannot be read: metadata alone refuses
    nothing."""
    try:
        return int(picture.getexif().get(_ORIENTATION_TAG, 1))
    except _BROKEN:
        return 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)
