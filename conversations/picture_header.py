"""What a file's first bytes declare, for the two formats whose Pillow readers act on it before they can be
asked.

The WebP reader sets aside memory for the whole canvas when it opens; the GIF reader lets a frame enlarge the
canvas and warns about it for the whole process. Both are asked here first. A file that is cut off raises
IndexError or struct.error.
"""

from __future__ import annotations

import struct


def webp_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the first chunk (WebP container specification, sections 2.5 to
    2.7)."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        _, low_width, high_width, low_height, high_height = struct.unpack_from("<IHBHB", data, 20)
        return 1 + low_width + (high_width << 16), 1 + low_height + (high_height << 16)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def gif_canvas(data: bytes) -> tuple[tuple[int, int], int]:
    """Width and height that the canvas grows to, and the number of frames, counted up to two (GIF89a,
    sections 18, 20 and 23 to 26)."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _table_bytes(flags)
    num_frames = 0
    while position < len(data) and data[position] != 0x3B and num_frames < 2:
        kind = data[position]
        position += 1
        if kind == 0x2C:
            left, top, frame_width, frame_height, flags = struct.unpack_from("<HHHHB", data, position)
            width, height = max(width, left + frame_width), max(height, top + frame_height)
            num_frames += 1
            position = _after_blocks(data, position + 9 + _table_bytes(flags) + 1)
        elif kind == 0x21:
            position = _after_blocks(data, position + 1)
    return (width, height), num_frames


def _table_bytes(flags: int) -> int:
    """The length of the colour table that follows: three bytes a colour."""
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> int:
    """Past a chain of blocks, each led by its length; one of length 0, or the end of the file, ends it."""
    while position < len(data) and data[position]:
        position += 1 + data[position]
    return position + 1
