"""PNGs keep every visible pixel, in a form that suits the picture."""

import io
import struct

import numpy as np
import pictures
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import Pixels
from PIL import Image, ImageDraw
from render_helper import render_steps, step

from proxy.imaging.encoder_options import EncoderOptions
from proxy.imaging.encoders import Encoder
from proxy.imaging.png_encoder import encode_png, encode_png_slowly

USUAL = EncoderOptions()


def encode(pixels: Pixels, options: EncoderOptions = USUAL, encoder: Encoder = encode_png) -> bytes:
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    return encoder(image, image.height, 100, options)


def open_png(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def visible(pixels: Pixels) -> Pixels:
    """With an alpha channel, and black where nothing is seen."""
    rgba = np.array(Image.fromarray(pixels).convert("RGBA"))
    rgba[rgba[..., 3] == 0] = 0
    return rgba


def decode(body: bytes) -> Pixels:
    return np.asarray(open_png(body).convert("RGBA"))


def photograph(width: int, height: int) -> Pixels:
    """Soft waves of color with a little noise."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    waves = [np.sin(across / (17 + band)) + np.cos(down / (23 - band)) for band in range(3)]
    noise = np.random.default_rng(4).normal(0, 2, (height, width, 3))
    return (128 + 50 * np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8)


def colors(count: int, bands: int = 3) -> Pixels:
    """A picture with exactly so many colors."""
    numbers = np.resize(np.arange(count), (20, 40))
    values = [numbers * 7 % 256, numbers // 256 * 9, numbers % 256, 255 - numbers % 3]
    return np.stack(values[:bands], axis=-1).astype(np.uint8)


@st.composite
def any_pixels(draw: st.DrawFn) -> Pixels:
    """Gray or not, with few or many colors, opaque, translucent or with holes, flat or noisy."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.sampled_from([1, 2, 3, 5, 16, 17, 200, 256, 257, 5000]))
    table = random.integers(0, 256, (count, 4), np.uint8)
    if draw(st.booleans()):
        table[:, 1:3] = table[:, :1]
    numbers = random.integers(0, count, (height, width))
    if draw(st.booleans()):
        numbers = np.repeat(numbers, 5, axis=1)[:, :width]
    pixels = table[numbers]
    alpha = draw(st.sampled_from(["none", "opaque", "translucent", "holes"]))
    if alpha == "opaque":
        pixels[..., 3] = 255
    elif alpha == "holes":
        pixels[..., 3] = np.where(numbers % 3, pixels[..., 3], 0)
    return np.ascontiguousarray(pixels[..., :3] if alpha == "none" else pixels)


@given(
    pixels=any_pixels(),
    effort=st.sampled_from([None, 0, 9]),
    progressive=st.sampled_from([None, True]),
)
@settings(deadline=None, max_examples=40)
def test_every_visible_pixel_stays_as_it_is(
    pixels: Pixels, effort: int | None, progressive: bool | None
) -> None:
    options = EncoderOptions(effort=effort, progressive=progressive)
    expected = visible(pixels)
    for encoder in (encode_png, encode_png_slowly):
        body = encode(pixels, options, encoder)
        assert np.array_equal(decode(body), expected)
        assert body[28] == bool(progressive)


@pytest.mark.parametrize(
    ("count", "bands", "mode", "depth"),
    [
        (2, 3, "P", 1),
        (4, 3, "P", 2),
        (16, 3, "P", 4),
        (17, 3, "P", 8),
        (256, 3, "P", 8),
        (257, 3, "RGB", 8),
        (256, 4, "P", 8),
        (300, 4, "RGBA", 8),
    ],
)
def test_up_to_256_colors_become_a_palette(count: int, bands: int, mode: str, depth: int) -> None:
    body = encode(colors(count, bands))
    assert (open_png(body).mode, body[24]) == (mode, depth)


def test_a_color_that_comes_late_is_counted() -> None:
    pixels = np.resize(colors(256), (300, 400, 3))
    pixels[-1, -1] = (1, 2, 3)
    body = encode(pixels)
    assert open_png(body).mode == "RGB"
    assert np.array_equal(decode(body), visible(pixels))


def test_a_palette_lists_only_the_alphas_that_are_not_opaque() -> None:
    pixels = pictures.plain(30, 20, (200, 10, 30, 255))
    pixels[5:9, 5:9] = (0, 0, 255, 90)
    body = encode(pixels)
    at = body.index(b"tRNS")
    assert struct.unpack(">I", body[at - 4 : at]) == (1,)
    assert b"tRNS" not in encode(pictures.plain(30, 20, (200, 10, 30, 255)))


@pytest.mark.parametrize(
    ("bands", "alpha", "mode"),
    [(1, 255, "L"), (1, 77, "LA"), (3, 255, "RGB"), (3, 77, "RGBA")],
    ids=["gray", "translucent gray", "color", "translucent color"],
)
def test_bands_that_say_nothing_are_left_out(bands: int, alpha: int, mode: str) -> None:
    color = photograph(120, 90)
    opaque = np.repeat(color[..., :1], 3, axis=2) if bands == 1 else color
    pixels = np.dstack([opaque, np.full(opaque.shape[:2], alpha, np.uint8)])
    body = encode(pixels)
    assert open_png(body).mode == mode
    assert np.array_equal(decode(body), visible(pixels))


def test_colors_that_nobody_sees_take_no_bytes() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (80, 80, 4), np.uint8)
    noise[..., 3] = 0
    noise[:8, :8, 3] = 255
    assert len(encode(noise)) < 700


NO_FILTER, PAETH = 0x08, 0x80  # libvips' flags


def with_filter(pixels: Pixels, filter: int) -> int:
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    return len(image.pngsave_buffer(filter=filter, compression=6, keep=0))


def text() -> Pixels:
    """Soft letters in several colors."""
    image = Image.new("RGB", (400, 300), "white")
    draw = ImageDraw.Draw(image)
    for line in range(20):
        words = "pack my box with five dozen jugs and a quartz vow "[line * 7 % 40 :] * 3
        draw.text((8, 15 * line), words, (10 * line, 40, 200 - 9 * line))
    return np.asarray(image)


def test_text_and_photographs_take_the_filter_that_suits_them() -> None:
    smooth = photograph(300, 200)
    letters = text()
    assert with_filter(letters, NO_FILTER) < 0.95 * with_filter(letters, PAETH)
    assert len(encode(letters)) == with_filter(letters, NO_FILTER)
    assert with_filter(smooth, PAETH) < 0.9 * with_filter(smooth, NO_FILTER)
    assert len(encode(smooth)) < 1.05 * with_filter(smooth, PAETH)


@pytest.mark.parametrize(
    ("bands", "bits"),
    [(1, 1), (1, 2), (1, 4), *((bands, bits) for bands in (1, 2, 3, 4) for bits in (8, 16))],
)
def test_originals_of_every_depth_are_the_same_as_png_and_as_lossless_webp(
    bands: int, bits: int
) -> None:
    values = np.dstack([photograph(70, 50), photograph(50, 70).swapaxes(0, 1)[..., :1]])
    values = np.ascontiguousarray(values[..., -bands:])
    image = pyvips.Image.new_from_array(values if bits < 16 else values.astype(np.uint16) * 257)
    space = {(1, 8): "b-w", (1, 16): "grey16", (3, 8): "srgb", (3, 16): "rgb16"}
    image = image.copy(interpretation=space[3 if bands > 2 else 1, max(bits, 8)])
    original = image.pngsave_buffer(bitdepth=bits)
    turned = step("flop")
    png = render_steps(original, turned, step("convert", format="png")).body
    webp = render_steps(original, turned, step("convert", format="webp", lossless=True)).body
    assert np.array_equal(visible(decode(png)), visible(decode(webp)))
