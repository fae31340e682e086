"""AVIF: photographs with 10 bits by libvips, graphics by Pillow, which finds what is repeated."""

import io
from pathlib import Path

import numpy as np
import pictures
import pytest
import pyvips
from PIL import Image, ImageDraw
from render_helper import render_steps, step

PHOTO = (Path(__file__).parents[1] / "photographs" / "portrait.jpg").read_bytes()


def page(width: int = 320, height: int = 240) -> bytes:
    """A page of text: the same letters again and again."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for line in range(height // 12):
        draw.text((6 + line % 3, 12 * line), "pack my box with five dozen liquor jugs " * 2, "navy")
    return pictures.encode(np.asarray(image))


def encode(original: bytes, *steps: dict[str, object]) -> bytes:
    return render_steps(original, *steps, step("convert", format="avif")).body


def bits(body: bytes) -> int:
    depth = pyvips.Image.heifload_buffer(body).get("heif-bitdepth")
    assert isinstance(depth, int)
    return depth


def by_libvips(original: bytes) -> bytes:
    image = pyvips.Image.new_from_buffer(original, "")
    return bytes(image.heifsave_buffer(Q=63, compression="av1", effort=1, bitdepth=10, keep=0))


def test_text_takes_fewer_bytes_than_by_libvips() -> None:
    body, other = encode(page()), by_libvips(page())
    assert len(body) < 0.7 * len(other)
    expected = pictures.decode(page()).astype(int)
    errors = [abs(pictures.decode(one)[..., :3] - expected).mean() for one in (body, other)]
    assert errors[0] < errors[1] + 0.5


def test_a_photograph_has_10_bits_and_a_graphic_8() -> None:
    assert bits(encode(PHOTO, step("resize", width=120))) == 10
    assert bits(encode(page())) == 8


@pytest.mark.parametrize("original", [page(), PHOTO], ids=["graphic", "photograph"])
def test_the_same_picture_gives_the_same_bytes(original: bytes) -> None:
    resize = step("resize", width=90)
    assert encode(original, resize) == encode(original, resize)


@pytest.mark.parametrize(
    ("width", "height", "sigma", "effort"),
    [(300, 210, 0.3, 2), (300, 210, 4.0, 3), (720, 520, 0.3, 3)],
    ids=["sharp", "blurred", "enlarged"],
)
def test_smooth_photographs_are_worth_more_effort(
    width: int, height: int, sigma: float, effort: int
) -> None:
    resize = step("resize", width=width, height=height, fit="cover")
    png = render_steps(PHOTO, resize, step("blur", sigma=sigma), step("convert", format="png")).body
    files = {
        each: render_steps(png, step("convert", format="avif", effort=each)).body
        for each in (1, 2, 3)
    }
    assert len(set(files.values())) == 3
    assert encode(png) == files[effort]


def test_a_graphic_keeps_its_transparency() -> None:
    pixels = np.zeros((80, 120, 4), np.uint8)
    pixels[20:60, 30:90] = 200, 30, 40, 128
    with Image.open(io.BytesIO(encode(pictures.encode(pixels)))) as image:
        decoded = np.asarray(image.convert("RGBA")).astype(int)
    assert abs(decoded[..., 3] - pixels[..., 3]).max() <= 4
    assert abs(decoded[25:55, 35:85] - pixels[25:55, 35:85]).max() <= 6


def test_a_graphic_keeps_the_words_about_rights_and_nothing_else() -> None:
    exif = Image.Exif()
    exif[0x8298], exif[0x010F] = "(c) Ann", "Camera"
    original = pictures.encode(pictures.red_square(120, 90, 20, 20, 40), "png", exif=exif)
    with Image.open(io.BytesIO(encode(original, step("keep")))) as image:
        assert dict(image.getexif()) == {0x8298: "(c) Ann"}
    with Image.open(io.BytesIO(encode(original))) as image:
        assert not image.getexif()


def test_a_gray_graphic_stays_gray() -> None:
    original = pictures.encode(pictures.red_square(120, 90, 20, 20, 40)[:, :, 1])
    decoded = pictures.decode(encode(original))[..., :3].astype(int)
    assert np.ptp(decoded, axis=2).max() <= 2
