"""Typical plans: each renders the expected size and format."""

from typing import Any

import pictures
import pytest
from render_helper import render_steps, step

from proxy.formats import sniff
from proxy.geometry import Size

PHOTO = pictures.encode(pictures.scene(600, 450), "jpeg", quality=90)
WEBP, JPEG, PNG = "webp", "jpeg", "png"


def convert(format: str, quality: int | None = None) -> dict[str, Any]:
    return (
        step("convert", format=format)
        if quality is None
        else step("convert", format=format, quality=quality)
    )


def size(name: str, width: int, height: int, **more: Any) -> dict[str, Any]:
    return step(name, width_in_px=width, height_in_px=height, **more)


PLANS: dict[str, tuple[list[dict[str, Any]], Size, str]] = {
    "thumbnail": ([size("resize", 300, 200, fit="cover"), convert(WEBP, 80)], Size(300, 200), WEBP),
    "social square": (
        [size("resize", 1080, 1080, fit="cover"), convert(JPEG, 90)],
        Size(1080, 1080),
        JPEG,
    ),
    "avatar": (
        [size("smart_crop", 256, 256), step("remove_background"), convert(WEBP, 85)],
        Size(256, 256),
        WEBP,
    ),
    "group photo": ([size("smart_crop", 400, 400), convert(JPEG, 90)], Size(400, 400), JPEG),
    "product": ([size("smart_crop", 1000, 1000)], Size(1000, 1000), JPEG),
    "marketplace a": (
        [
            step("remove_background", background_hex_color="#FFFFFF"),
            size("resize", 2000, 2000, fit="contain"),
            convert(JPEG, 90),
        ],
        Size(2000, 2000),
        JPEG,
    ),
    "marketplace b": (
        [size("smart_crop", 2000, 2000), step("sharpen", sigma=1.0), convert(JPEG, 90)],
        Size(2000, 2000),
        JPEG,
    ),
    "marketplace c": (
        [size("resize", 2048, 2048, fit="contain"), step("sharpen", sigma=1.2), convert(WEBP, 85)],
        Size(2048, 2048),
        WEBP,
    ),
    "product photo": (
        [
            size("resize", 1000, 1000, fit="contain"),
            step("auto_contrast"),
            step("sharpen", sigma=1.5),
            convert(WEBP, 85),
        ],
        Size(1000, 1000),
        WEBP,
    ),
    "real estate": (
        [
            size("resize", 1920, 1080, fit="cover"),
            step("auto_contrast"),
            step("sharpen", sigma=1.5),
            convert(JPEG, 90),
        ],
        Size(1920, 1080),
        JPEG,
    ),
    "print": (
        [size("resize", 1500, 2400, fit="inside"), step("sharpen", sigma=0.5), convert(JPEG, 95)],
        Size(600, 450),
        JPEG,
    ),
    "e-mail": (
        [
            size("resize", 1200, 900, fit="inside"),
            step("sharpen", sigma=0.5),
            convert(JPEG, 85),
            step("compress_to_size", max_file_size_in_bytes=500_000),
        ],
        Size(600, 450),
        JPEG,
    ),
    "target size": (
        [step("compress_to_size", max_file_size_in_bytes=500_000)],
        Size(600, 450),
        JPEG,
    ),
    "cut-out card": (
        [step("remove_background"), size("resize", 600, 600, fit="contain"), convert(PNG)],
        Size(600, 600),
        PNG,
    ),
    "upscale": ([step("upscale", factor=4), convert(PNG)], Size(2400, 1800), PNG),
    "format": ([convert(WEBP, 85)], Size(600, 450), WEBP),
    "square": ([size("resize", 200, 200, fit="cover"), convert(WEBP, 80)], Size(200, 200), WEBP),
    "card": (
        [size("smart_crop", 800, 600), step("sharpen", sigma=0.5), convert(WEBP, 85)],
        Size(800, 600),
        WEBP,
    ),
    "social": (
        [size("smart_crop", 1200, 630), step("sharpen", sigma=0.5), convert(WEBP, 85)],
        Size(1200, 630),
        WEBP,
    ),
    "small": ([size("resize", 150, 150, fit="cover"), convert(JPEG, 75)], Size(150, 150), JPEG),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_renders_the_expected_size_and_format(name: str) -> None:
    steps, expected, format = PLANS[name]
    result = render_steps(PHOTO, *steps)
    found = sniff(result.body[:64])
    assert (result.size, result.format) == (expected, format)
    assert found is not None
    assert found.name == format
    assert pictures.decode(result.body).shape[:2] == (expected.height, expected.width)


def test_a_plan_of_thirty_operations_is_rendered() -> None:
    steps = [step("flop")] * 29 + [convert(WEBP)]
    assert render_steps(pictures.encode(pictures.scene(64, 48)), *steps).size == Size(64, 48)
