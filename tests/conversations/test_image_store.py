"""Pictures on disk: stored once, without metadata, under a name that says what they are."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import threading
from pathlib import Path

import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from conversations import image_store
from conversations.errors import PictureMissing, UnwritableFolder
from conversations.image_store import ImageStore, PictureRefused
from conversations.picture import read_picture


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "pictures")


def files(images: ImageStore) -> list[Path]:
    return [path for path in images.folder.rglob("*") if path.is_file() and path.parent.name != ".drafts"]


def test_a_picture_is_named_by_the_hash_of_what_is_stored(images: ImageStore) -> None:
    ref = images.add(encoded(Image.new("RGB", (30, 20), "teal"), "PNG"))
    path = images.path(ref.sha256)
    assert (ref.width, ref.height) == (30, 20) == images.size(ref.sha256)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == ref.sha256
    assert path == images.folder / ref.sha256[:2] / ref.sha256[2:4] / f"{ref.sha256}.png"
    assert files(images) == [path]


def test_the_same_upload_is_stored_once_and_never_written_over(images: ImageStore) -> None:
    data = encoded(Image.effect_noise((50, 40), 90).convert("RGB"), "JPEG")
    ref = images.add(data)
    before = images.path(ref.sha256).stat()
    assert images.add(data) == ref
    after = images.path(ref.sha256).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert len(files(images)) == 1


def test_two_formats_of_the_same_pixels_are_one_picture(images: ImageStore) -> None:
    image = Image.effect_noise((20, 20), 90).convert("RGB")
    assert images.add(encoded(image, "PNG")) == images.add(encoded(image, "BMP"))


def test_photos_are_stored_as_jpeg_and_drawings_as_png(
    images: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.effect_noise((50, 40), 90).convert("RGB")
    assert images.media_type(images.add(encoded(image, "JPEG")).sha256) == "image/jpeg"
    assert images.media_type(images.add(encoded(image, "PNG")).sha256) == "image/png"
    monkeypatch.setattr(image_store, "MAX_LOSSLESS_PIXELS", 51 * 40 - 1)
    large = Image.new("RGB", (51, 40), "olive")
    assert images.media_type(images.add(encoded(large, "PNG")).sha256) == "image/jpeg"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_no_metadata_is_left(images: ImageStore, file_format: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    options: dict[str, object] = {
        "exif": exif,
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "xmp": b"<x:xmpmeta>SecretPlace</x:xmpmeta>",
    }
    if file_format == "JPEG":
        options |= {"comment": b"SecretComment", "dpi": (300, 300)}
    if file_format == "PNG":
        info = PngInfo()
        info.add_text("Author", "SecretAuthor")
        options |= {"pnginfo": info, "dpi": (300, 300)}
        del options["xmp"]
    data = encoded(Image.new("RGB", (16, 16), "teal"), file_format, **options)
    assert b"Secret" in data
    sha256 = images.add(data).sha256
    for path in (images.path(sha256), images.thumbnail(sha256)):
        assert b"Secret" not in path.read_bytes()
        with Image.open(path) as stored:
            assert not stored.getexif() and not stored.getexif().get_ifd(0x8825)
            assert not {"icc_profile", "exif", "xmp", "comment", "dpi", "Author"} & set(stored.info) - {"dpi"}
            assert stored.info.get("dpi", (1, 1)) != (300, 300)


def test_a_refused_picture_leaves_nothing_behind(images: ImageStore) -> None:
    with pytest.raises(PictureRefused):
        images.add(b"GIF89a but not really")
    assert files(images) == []


def test_a_thumbnail_is_small_and_made_once(images: ImageStore) -> None:
    ref = images.add(encoded(Image.effect_noise((800, 400), 90).convert("RGB"), "JPEG"))
    assert len(files(images)) == 1
    path = images.thumbnail(ref.sha256)
    before = path.stat().st_mtime_ns
    assert images.thumbnail(ref.sha256) == path and path.stat().st_mtime_ns == before
    with Image.open(path) as small:
        assert small.size == (320, 160) and small.format == "JPEG"
    assert path.stat().st_size < images.path(ref.sha256).stat().st_size / 5


@pytest.mark.parametrize(("size", "small"), [((1, 1), (1, 1)), ((1, 5000), (1, 320)), ((64, 48), (64, 48))])
def test_a_thumbnail_has_a_pixel_at_least_and_is_never_larger(
    images: ImageStore, size: tuple[int, int], small: tuple[int, int]
) -> None:
    ref = images.add(encoded(Image.new("RGB", size, "teal"), "PNG"))
    with Image.open(images.thumbnail(ref.sha256)) as thumbnail:
        assert thumbnail.size == small


def noise(size: tuple[int, int]) -> Image.Image:
    """What no format can shrink."""
    return Image.frombytes("RGB", size, random.Random(7).randbytes(size[0] * size[1] * 3))


def from_data_url(url: str) -> tuple[str, bytes]:
    head, _, body = url.partition(",")
    return head, base64.b64decode(body, validate=True)


@pytest.mark.parametrize(
    ("size", "file_format"), [((3, 3), "PNG"), ((1344, 2), "PNG"), ((1344, 1344), "JPEG")]
)
def test_a_data_url_carries_the_stored_bytes_of_a_small_picture(
    images: ImageStore, size: tuple[int, int], file_format: str
) -> None:
    ref = images.add(encoded(Image.new("RGB", size, "teal"), file_format))
    head, data = from_data_url(images.data_url(ref.sha256))
    assert head == f"data:image/{file_format.lower()};base64"
    assert data == images.path(ref.sha256).read_bytes()
    assert len(files(images)) == 1


@pytest.mark.parametrize(
    ("image", "file_format", "sent_as", "size"),
    [
        (Image.new("RGB", (1346, 673), "teal"), "PNG", "png", (1344, 672)),
        (noise((1400, 300)), "PNG", "jpeg", (1344, 288)),
        (noise((700, 600)), "PNG", "jpeg", (700, 600)),
        (Image.new("RGB", (1345, 10), "teal"), "JPEG", "jpeg", (1344, 10)),
        (Image.new("RGB", (1, 5000), "teal"), "PNG", "png", (1, 1344)),
    ],
)
def test_a_data_url_carries_a_large_picture_shrunk(
    images: ImageStore, image: Image.Image, file_format: str, sent_as: str, size: tuple[int, int]
) -> None:
    ref = images.add(encoded(image, file_format, quality=92))
    head, data = from_data_url(images.data_url(ref.sha256))
    assert head == f"data:image/{sent_as};base64"
    with Image.open(io.BytesIO(data)) as sent:
        assert (sent.size, sent.mode, sent.format) == (size, "RGB", sent_as.upper())
    assert read_picture(data, max_bytes=20_000_000, max_pixels=40_000_000).image.size == size
    assert images.size(ref.sha256) == image.size


def test_a_picture_made_smaller_looks_the_same(images: ImageStore) -> None:
    image = Image.new("RGB", (2700, 1000), "white")
    image.paste((200, 30, 30), (0, 0, 1350, 500))
    ref = images.add(encoded(image, "JPEG", quality=92))
    with Image.open(io.BytesIO(from_data_url(images.data_url(ref.sha256))[1])) as sent:
        red, white = sent.getpixel((330, 120)), sent.getpixel((1000, 400))
    assert all(abs(a - b) < 6 for a, b in zip(red, (200, 30, 30), strict=True))  # type: ignore[arg-type]
    assert min(white) > 249  # type: ignore[type-var, arg-type]


def test_a_picture_of_nothing_but_noise_is_sent_in_a_tenth_of_what_a_worker_takes(images: ImageStore) -> None:
    ref = images.add(encoded(noise((1400, 1400)), "JPEG", quality=98))
    assert len(images.data_url(ref.sha256)) < 6_000_000
    assert images.path(ref.sha256).stat().st_size > 1_500_000


def test_what_is_sent_is_made_once_and_goes_with_the_picture(images: ImageStore) -> None:
    ref = images.add(encoded(Image.new("RGB", (1346, 8), "teal"), "PNG"))
    first = images.data_url(ref.sha256)
    written = {path: path.stat().st_mtime_ns for path in files(images)}
    assert len(written) == 2 and images.data_url(ref.sha256) == first
    assert {path: path.stat().st_mtime_ns for path in files(images)} == written
    images.remove(ref.sha256)
    assert files(images) == []
    with pytest.raises(PictureMissing):
        images.data_url(ref.sha256)


@pytest.mark.parametrize("ask", ["thumbnail", "data_url"])
def test_a_picture_removed_while_its_smaller_copy_is_made_leaves_none(
    images: ImageStore, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    ref = images.add(encoded(Image.new("RGB", (1346, 8), "teal"), "PNG"))
    write = images._write

    def remove_and_write(path: Path, data: bytes) -> None:
        images.remove(ref.sha256)
        write(path, data)

    monkeypatch.setattr(images, "_write", remove_and_write)
    with pytest.raises(PictureMissing):
        getattr(images, ask)(ref.sha256)
    assert files(images) == []


@pytest.mark.parametrize("ask", ["thumbnail", "data_url", "size"])
def test_a_picture_removed_at_the_moment_it_is_read_is_missing(
    images: ImageStore, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    ref = images.add(encoded(Image.new("RGB", (1346, 8), "teal"), "PNG"))
    stored = images.path(ref.sha256)

    def seen_and_removed(sha256: str) -> Path:
        images.remove(sha256)
        return stored

    monkeypatch.setattr(images, "path", seen_and_removed)
    with pytest.raises(PictureMissing, match="not in the store"):
        getattr(images, ask)(ref.sha256)


def test_the_folder_of_the_pictures_is_closed_to_others(images: ImageStore) -> None:
    images.add(encoded(Image.new("RGB", (3, 3), "teal"), "PNG"))
    folders = [images.folder, *(path for path in images.folder.rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


@pytest.mark.parametrize(
    "sha256",
    [
        "",
        "../../etc/passwd",
        "a" * 63,
        "A" * 64,
        "g" * 64,
        "a" * 63 + "/",
        "a" * 64 + "\n",
        "a" * 62 + "\0a",
        None,
        7,
    ],
)
def test_what_is_no_hash_never_comes_near_the_disk(images: ImageStore, sha256: str) -> None:
    for ask in (
        images.path,
        images.thumbnail,
        images.data_url,
        images.size,
        images.media_type,
        images.remove,
    ):
        with pytest.raises(PictureMissing, match="64 hexadecimal digits"):
            ask(sha256)


def test_a_picture_that_is_not_stored_is_missing(images: ImageStore) -> None:
    for ask in (images.path, images.thumbnail, images.data_url, images.size):
        with pytest.raises(PictureMissing, match="not in the store"):
            ask("0" * 64)


def test_a_removed_picture_is_gone_with_its_thumbnail(images: ImageStore) -> None:
    ref = images.add(encoded(Image.new("RGB", (9, 9), "teal"), "PNG"))
    images.thumbnail(ref.sha256)
    images.remove(ref.sha256)
    images.remove(ref.sha256)
    assert files(images) == [] == images.drafts()


def test_an_added_picture_is_a_draft_until_it_is_settled(images: ImageStore) -> None:
    data = encoded(Image.new("RGB", (9, 9), "teal"), "PNG")
    ref = images.add(data)
    assert images.is_draft(ref.sha256) and images.drafts() == [ref.sha256]
    assert images.drafts(older_than_seconds=60) == []
    images.settle(ref.sha256)
    images.settle(ref.sha256)
    assert images.drafts() == []
    images.add(data)
    assert images.is_draft(ref.sha256)


def test_many_threads_may_store_the_same_picture(images: ImageStore) -> None:
    data = encoded(Image.effect_noise((200, 200), 90).convert("RGB"), "JPEG")
    hashes: list[str] = []

    def add() -> None:
        ref = images.add(data)
        images.thumbnail(ref.sha256)
        hashes.append(ref.sha256)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hashes) == 8 and len(set(hashes)) == 1
    assert len(files(images)) == 2


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableFolder, match=r"file/pictures cannot be written .*; make it writable"):
        ImageStore(tmp_path / "file" / "pictures")


def test_a_folder_that_stops_being_writable_is_named(images: ImageStore) -> None:
    ref = images.add(encoded(Image.new("RGB", (9, 9), "teal"), "PNG"))
    images.remove(ref.sha256)
    first = images.folder / ref.sha256[:2]
    (first / ref.sha256[2:4]).rmdir()
    first.rmdir()
    first.write_text("in the way")
    with pytest.raises(UnwritableFolder, match="cannot be written"):
        images.add(encoded(Image.new("RGB", (9, 9), "teal"), "PNG"))
