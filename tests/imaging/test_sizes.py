"""Large originals are accepted where memory stays bounded; elsewhere the reason is named."""

import io

import numpy as np
import pictures
import pytest
import pyvips
from msgspec import structs
from PIL import Image
from render_helper import DETECTOR, REGISTRY, render_steps, step

from proxy.errors import ImageTooLarge, OperationNotApplicable
from proxy.geometry import Size
from proxy.imaging.headers import probe
from proxy.imaging.optional_codecs import missing_package
from proxy.limits import Limits
from proxy.operations.pipeline import render

SMALL_MEMORY = structs.replace(Limits(), max_source_pixels_unstreamed=100_000)
SCENE = pictures.scene(400, 300)


def test_the_largest_pictures_of_azure_are_accepted_by_default() -> None:
    original = bytes(pyvips.Image.black(16_000, 16_000).jpegsave_buffer(Q=50))
    assert render_steps(original, step("resize", width=100)).size == Size(100, 100)


def test_a_large_png_is_accepted_unless_it_is_a_decompression_bomb() -> None:
    side = 8000
    noise = np.random.default_rng(3).bytes(side * side // 8)
    output = io.BytesIO()
    Image.frombytes("1", (side, side), noise).save(output, "PNG", compress_level=1)
    assert render_steps(output.getvalue(), step("resize", width=80)).size == Size(80, 80)
    flat = bytes(pyvips.Image.black(side, side).pngsave_buffer(bitdepth=1))
    with pytest.raises(ImageTooLarge, match="100 pixels for each byte"):
        render_steps(flat, step("resize", width=80))


def test_the_pictures_of_a_phone_with_48_megapixels_are_accepted_by_default() -> None:
    assert not missing_package("heif")
    header = structs.replace(probe(encode("heif")), width=8064, height=6048)
    assert header.pixels <= Limits().max_source_pixels_unstreamed


def encode(format: str, **options: object) -> bytes:
    output = io.BytesIO()
    Image.fromarray(SCENE).save(output, format.upper(), **options)
    return output.getvalue()


def tiff(rows: int) -> bytes:
    image = pyvips.Image.black(4000, 3000, bands=3).copy(interpretation="srgb")
    output = io.BytesIO()
    Image.fromarray(image.numpy()).save(output, "TIFF", tiffinfo={278: rows}, compression="raw")
    return output.getvalue()


@pytest.mark.parametrize(
    ("original", "is_whole"),
    [
        (encode("jpeg"), False),
        (encode("jpeg", progressive=True), True),
        (encode("png"), False),
        (encode("webp"), True),
        (encode("webp", lossless=True), True),
        (encode("gif"), True),
        (tiff(64), False),
        (tiff(3000), True),
    ],
    ids=["jpeg", "progressive", "png", "webp", "lossless", "gif", "strips", "one strip"],
)
def test_the_header_says_whether_a_decoder_holds_the_whole_picture(
    original: bytes, is_whole: bool
) -> None:
    assert probe(original).needs_full_frame == is_whole


def test_a_sequential_jpeg_whose_components_come_one_after_another_is_held_as_a_whole() -> None:
    body = bytearray(encode("jpeg"))
    scan = body.index(b"\xff\xda")
    body[scan + 4] = 1  # the first scan has one component of three
    assert probe(bytes(body)).needs_full_frame


@pytest.mark.parametrize("name", ["rotate", "flip", "trim", "auto_contrast", "remove_background"])
def test_an_operation_that_needs_all_pixels_at_once_is_refused_with_the_reason(name: str) -> None:
    fields = {"angle": 90} if name == "rotate" else {}
    for format in ("jpeg", "png"):
        original = pictures.encode(SCENE, format)
        with pytest.raises(ImageTooLarge, match=r"needed at once.*UNSTREAMED"):
            render_steps(original, step(name, **fields), limits=SMALL_MEMORY)
        small = render_steps(
            original, step("resize", width=200), step(name, **fields), limits=SMALL_MEMORY
        )
        assert small.size.pixels <= 200 * 150


def test_a_picture_that_must_be_turned_upright_is_turned_after_it_was_shrunk() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    original = pictures.encode(SCENE, "jpeg", exif=exif)
    with pytest.raises(ImageTooLarge, match="needed at once"):
        render_steps(original, limits=SMALL_MEMORY)
    turned = render_steps(original, step("resize", width=100), limits=SMALL_MEMORY)
    assert turned.size == Size(100, 133)


def test_detection_in_a_large_picture_does_not_hold_all_of_its_pixels() -> None:
    image = pyvips.Image.black(6000, 4000, bands=3).copy(interpretation="srgb")
    original = bytes(image.pngsave_buffer(compression=1))
    limits = structs.replace(Limits(), max_source_pixels_unstreamed=1_000_000)
    assert render_steps(original, step("smart_crop", width=90, height=90), limits=limits)


@pytest.mark.parametrize("size", [(120, 17_000), (17_000, 120)])
def test_auto_takes_a_format_that_can_hold_a_long_strip(size: tuple[int, int]) -> None:
    strip = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), np.uint8)
    original = pictures.encode(strip, "jpeg")
    auto = REGISTRY.plan([step("convert", format="auto")]).with_accepted_formats(("avif", "webp"))
    result = render(original, auto, Limits(), detector=DETECTOR).rendition
    assert result.format == "jpeg"
    assert result.size == Size(*size)
    with pytest.raises(OperationNotApplicable, match="16383"):
        render_steps(original, step("convert", format="webp"))
