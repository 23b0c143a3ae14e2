"""A picture in a request: the bytes of a data URL.

Nothing is ever fetched, so that no request can make the worker reach out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from PIL import Image

from conversations.errors import PictureRefused
from conversations.picture import read_picture
from model.door.api_error import ApiError
from model.door.limits import Limits
from model.engine.request import Picture


def picture_from(url: str, limits: Limits, param: str) -> Picture:
    """Decode `data:image/...;base64,...` and shrink it to `limits.longest_side`.

    Raises ApiError (invalid_picture) with one sentence.
    """
    if url[:5].lower() != "data:":
        scheme = url.split(":", 1)[0][:20]
        raise _refused(
            f"The picture's address begins with {scheme!r}; remote pictures are not loaded, send a data: URL.",
            param,
        )
    head, comma, encoded = url[5:].partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise _refused("The picture's data URL is not base64; send data:image/png;base64,… .", param)
    if len(encoded) * 3 // 4 > limits.max_picture_bytes + 3:
        raise _refused(
            f"The picture has {len(encoded) * 3 // 4 / 1e6:.1f} MB; at most "
            f"{limits.max_picture_bytes / 1e6:g} MB are accepted.",
            param,
        )
    try:
        data = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused(
            f"The picture's base64 cannot be decoded ({error}); encode it again.", param
        ) from error
    try:
        upright = read_picture(data, max_bytes=limits.max_picture_bytes, max_pixels=limits.max_picture_pixels)
    except PictureRefused as error:
        raise _refused(str(error), param) from error
    side = limits.longest_side
    upright.image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return Picture(hashlib.sha256(data).hexdigest(), upright.image)


def _refused(message: str, param: str) -> ApiError:
    return ApiError(400, "invalid_picture", message, param=param)
