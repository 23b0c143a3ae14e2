"""Pictures at the page's own door, hostile and odd: refused in a sentence, or seen upright in RGB."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from tests.app.hostile_pictures import animated, encoded, png_header
from tests.app.served_page import Person, ServedPage, served


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    with served(tmp_path_factory.mktemp("page")) as serving:
        yield serving


@pytest.fixture(scope="module")
def person(page: ServedPage) -> Person:
    return Person(page.url)


HALVES = Image.new("RGB", (60, 30), "white")
HALVES.paste("red", (0, 0, 30, 30))
"""Red at the left, white at the right."""

BOMB = b'<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"", 400, ""),
        (b"not a picture at all", 400, ""),
        (encoded(HALVES, "PNG")[:-30], 400, ""),
        (encoded(HALVES, "JPEG")[:200], 400, ""),
        (png_header(60_000, 60_000), 400, "40 million"),
        (animated("GIF"), 400, "animated"),
        (animated("PNG"), 400, "animated"),
        (animated("WEBP"), 400, "animated"),
        (BOMB, 400, "SVG"),
        (b"%PDF-1.7\n" + b"0" * 500, 400, ""),
        (b"PK\x03\x04" + b"0" * 500, 400, ""),
    ],
    ids=["empty", "text", "cut-png", "cut-jpeg", "60000x60000", "gif", "apng", "webp", "svg", "pdf", "zip"],
)
def test_what_is_no_picture_for_us_is_refused_in_one_sentence(
    person: Person, page: ServedPage, data: bytes, status: int, said: str
) -> None:
    before = page.store.images.drafts()
    answer = person.send_picture(data)
    words = answer.json()["error"]
    assert answer.status_code == status, words
    assert said.lower() in words.lower() and words.endswith(".") and len(words) > 20, words
    assert page.store.images.drafts() == before


def test_two_hundred_megabytes_are_refused_with_the_limit_and_not_kept(
    person: Person, page: ServedPage
) -> None:
    before = page.store.images.drafts()
    try:
        answer = person.http.post("/pictures", content=(b"\0" * 1_000_000 for _ in range(200)))
    except httpx.WriteError:  # the door may be shut before all of it is said; then it is not in either
        answer = None
    assert answer is None or (answer.status_code == 413 and "15 MB" in answer.json()["error"])
    assert page.store.images.drafts() == before
    assert person.send_picture(encoded(HALVES, "PNG")).status_code == 200  # and the door still opens


def rotated() -> bytes:
    """As a camera writes it that was held upright: the right half of what is seen lies at the bottom."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it
    exif[0x8825] = {2: (52.0, 31.0, 0.0)}  # where it was taken
    return encoded(HALVES, "JPEG", exif=exif, quality=95)


def transparent() -> Image.Image:
    image = Image.new("RGBA", (60, 30), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 30, 30))
    return image


RED, WHITE, GREY = (255, 0, 0), (255, 255, 255), (128, 128, 128)


@pytest.mark.parametrize(
    ("data", "size", "first", "last"),
    [
        (encoded(HALVES.convert("CMYK"), "JPEG", quality=95), (60, 30), RED, WHITE),
        (rotated(), (30, 60), RED, WHITE),
        (encoded(Image.new("I;16", (60, 30), 128 * 257), "PNG"), (60, 30), GREY, GREY),
        (encoded(HALVES.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), (60, 30), RED, WHITE),
        (encoded(HALVES.convert("P", palette=Image.Palette.ADAPTIVE), "GIF"), (60, 30), RED, WHITE),
        (encoded(transparent(), "PNG"), (60, 30), RED, WHITE),
        (encoded(Image.new("L", (60, 30), 128), "PNG"), (60, 30), GREY, GREY),
        (encoded(Image.new("1", (60, 30), 1), "PNG"), (60, 30), WHITE, WHITE),
        (encoded(Image.new("RGB", (1, 1), "red"), "PNG"), (1, 1), RED, RED),
        (encoded(Image.new("RGB", (1, 5000), "red"), "PNG"), (1, 5000), RED, RED),
    ],
    ids=["cmyk", "exif", "16-bit", "palette", "gif", "transparent", "grey", "one-bit", "1x1", "1x5000"],
)
def test_every_kind_of_picture_is_seen_upright_in_rgb(person: Person, data, size, first, last) -> None:
    told = person.send_picture(data).json()
    assert (told["width"], told["height"]) == size
    asked = person.turn(
        {"kind": "ask", "key": told["sha256"][:20], "text": "What is it?", "pictures": [told["ticket"]]}
    )
    assert any("thread" in each for each in asked), asked
    answer = person.http.get(f"/pictures/{told['sha256']}")
    seen = Image.open(io.BytesIO(answer.content))
    assert (seen.mode, seen.size, dict(seen.getexif())) == ("RGB", size, {})
    width, height = size
    for place, wanted in (((0, 0), first), ((width - 1, height - 1), last)):
        assert (
            max(abs(is_ - is_wanted) for is_, is_wanted in zip(seen.getpixel(place), wanted, strict=True))
            < 20
        )
    small = Image.open(io.BytesIO(person.http.get(f"/pictures/{told['sha256']}/thumb").content))
    assert small.mode == "RGB" and max(small.size) <= 320
