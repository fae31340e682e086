"""`auto` is never worse than doing nothing: flat pictures stay lossless, and bytes are compared."""

import io

import numpy as np
import pictures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from render_helper import DETECTOR, REGISTRY, step

from proxy.formats import FormatName
from proxy.imaging.headers import probe
from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.operations.pipeline import render
from proxy.operations.text import FONT

CLIENTS: list[tuple[FormatName, ...]] = [("avif", "webp"), ("webp",), ("avif",), ()]


def auto(original: bytes, accepted: tuple[FormatName, ...], *steps: dict[str, object]) -> Rendition:
    plan = REGISTRY.plan([*steps, step("convert", format="auto")])
    plan = plan.with_accepted_formats(accepted)
    return render(original, plan, Limits(), detector=DETECTOR).rendition


def qr(module: int = 8) -> pictures.Pixels:
    modules = np.random.default_rng(7).integers(0, 2, (33, 33)).astype(np.uint8) * 255
    return np.dstack([modules.repeat(module, 0).repeat(module, 1)] * 3)


def page(width: int = 640, height: int = 400) -> pictures.Pixels:
    """Lines of text on white, as in a screenshot."""
    image = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.truetype(str(FONT), 15)
    for row in range(height // 20):
        text = "def render(original, plan, limits): return encode(picture)"[: 20 + row * 7 % 40]
        draw.text((12, 20 * row), text, ("#1f2328", "#0550ae", "#82071e")[row % 3], font)
    return np.asarray(image)


def chart(width: int = 500, height: int = 300) -> pictures.Pixels:
    pixels = pictures.plain(width, height, (255, 255, 255))
    for bar in range(8):
        pixels[height - 30 * (bar + 1) :, 20 + 60 * bar : 60 + 60 * bar] = (78, 121 + bar, 167)
    return pixels


def photo(width: int = 400, height: int = 300) -> pictures.Pixels:
    noise = np.random.default_rng(7).normal(0, 9, (height, width, 3))
    return np.clip(pictures.scene(width, height) + noise, 0, 255).astype(np.uint8)


FLAT = {
    "qr": qr(),
    "page": page(),
    "screen": page(1280, 800),
    "chart": chart(),
    "icon": pictures.red_square(48, 48, 9, 9, 20),
}


@pytest.mark.parametrize("accepted", CLIENTS)
@pytest.mark.parametrize("name", FLAT)
def test_a_flat_picture_stays_exact_and_is_never_larger(
    name: str, accepted: tuple[FormatName, ...]
) -> None:
    original = pictures.encode(FLAT[name], optimize=True)
    result = auto(original, accepted)
    assert len(result.body) <= len(original)
    if accepted != ("avif",):  # which has no lossless mode worth its bytes
        assert (pictures.decode(result.body)[:, :, :3] == FLAT[name]).all()


@pytest.mark.parametrize("name", FLAT)
def test_a_flat_picture_is_lossless_webp_where_that_is_accepted(name: str) -> None:
    original = pictures.encode(FLAT[name])
    for accepted in (("jxl", "avif", "webp"), ("avif", "webp"), ("webp",)):
        assert probe(auto(original, accepted, step("flip")).body).lossless


@pytest.mark.parametrize("kind", ["gif", "webp", "tiff", "bmp"])
def test_every_lossless_format_counts_as_one(kind: str) -> None:
    options = {"lossless": True} if kind == "webp" else {}
    original = pictures.encode(chart(), kind, **options)
    result = auto(original, ("webp",), step("flip"))
    assert (pictures.decode(result.body)[::-1, :, :3] == chart()).all()


def test_a_flat_picture_is_lossless_after_it_was_resized_if_it_is_as_small() -> None:
    original = pictures.encode(qr(16))
    small = auto(original, ("webp",), step("resize", width=264))
    assert probe(small.body).lossless
    lossy = REGISTRY.plan([step("resize", width=264), step("convert", format="webp")])
    forced = render(original, lossy, Limits(), detector=DETECTOR).rendition
    assert len(small.body) <= 1.1 * len(forced.body)


@pytest.mark.parametrize("original_format", ["png", "bmp", "tiff"])
def test_a_photograph_becomes_lossy_whatever_its_file_was(original_format: str) -> None:
    original = pictures.encode(photo(), original_format)
    assert auto(original, ("avif", "webp")).format == "avif"
    assert auto(original, ("jxl", "avif", "webp")).format == "jxl"
    result = auto(original, ("webp",))
    assert result.format == "webp"
    assert not probe(result.body).lossless


@pytest.mark.parametrize("pixels", [photo(), chart(), page()], ids=["photo", "chart", "page"])
def test_an_opaque_png_is_not_made_lossy_for_clients_that_name_no_format(
    pixels: pictures.Pixels,
) -> None:
    opaque = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    for original in (pictures.encode(pixels), pictures.encode(opaque)):
        result = auto(original, (), step("flip"))
        assert result.format == "png"
        assert (pictures.decode(result.body)[::-1, :, :3] == pixels).all()


def test_alpha_that_hides_nothing_costs_no_bytes() -> None:
    pixels = photo()
    opaque = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    flipped = step("flip")
    with_alpha = auto(pictures.encode(opaque), ("webp",), flipped)
    without = auto(pictures.encode(pixels), ("webp",), flipped)
    assert with_alpha.body == without.body


@pytest.mark.parametrize("accepted", CLIENTS)
@pytest.mark.parametrize("quality", [10, 40, 70, 95])
@pytest.mark.parametrize("scale", [1.0, 0.95])
def test_a_jpeg_is_never_blown_up(
    accepted: tuple[FormatName, ...], quality: int, scale: float
) -> None:
    original = pictures.encode(photo(), "jpeg", quality=quality)
    result = auto(original, accepted, step("resize", width=round(400 * scale)))
    assert len(result.body) <= len(original)


@given(st.integers(12, 98), st.booleans())
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality: int, progressive: bool) -> None:
    body = pictures.encode(pictures.scene(40, 30), "jpeg", quality=quality, progressive=progressive)
    found = probe(body).quality
    assert found is not None
    assert abs(found - quality) <= 1


def test_a_smaller_size_of_a_poor_jpeg_has_the_usual_quality() -> None:
    original = pictures.encode(photo(), "jpeg", quality=30)
    half = auto(original, (), step("resize", width=200))
    assert probe(half.body).quality == 80
    nearly = auto(original, (), step("resize", width=390))
    assert probe(nearly.body).quality in range(30, 37)
    asked = REGISTRY.plan([step("resize", width=390), step("convert", format="auto", quality=90)])
    rendition = render(original, asked, Limits(), detector=DETECTOR).rendition
    assert probe(rendition.body).quality == 90


@pytest.mark.parametrize("accepted", CLIENTS)
def test_an_animation_is_never_larger_than_its_original(accepted: tuple[FormatName, ...]) -> None:
    original = pictures.encode_animation(pictures.moving_square(6, 200, 150))
    result = auto(original, accepted)
    assert len(result.body) <= len(original)
    assert pictures.frame_count(result.body) == 6


def test_an_animated_png_keeps_its_frames() -> None:
    original = pictures.encode_animation(pictures.moving_square(4, 80, 60), "png")
    for accepted in (("webp",), ()):
        assert pictures.frame_count(auto(original, accepted).body) == 4


def test_a_flat_animation_is_lossless() -> None:
    frames = pictures.moving_square(6, 200, 150)
    original = pictures.encode_animation(frames)
    result = auto(original, ("webp",), step("flop"))
    shown = pictures.decode_frames(result.body)
    assert all((one[:, ::-1] == drawn).all() for one, drawn in zip(shown, frames, strict=True))


def test_the_original_is_sent_only_in_a_format_that_the_client_accepts() -> None:
    tiny = pictures.encode(pictures.plain(300, 200, pictures.RED), "webp", quality=1)
    assert auto(tiny, ("webp",)).body == tiny
    assert auto(tiny, ()).format == "jpeg"


def test_a_bound_in_bytes_is_met_where_lossless_is_too_large() -> None:
    original = pictures.encode(page())
    lossless = auto(original, ("webp",), step("flip"))
    bound = len(lossless.body) // 2
    fitted = auto(original, ("webp",), step("flip"), step("compress_to_size", max_file_size=bound))
    assert len(fitted.body) <= bound


def test_tiny_pictures_are_webp_where_avif_would_be_mostly_header() -> None:
    output = io.BytesIO()
    Image.fromarray(photo(40, 40)).save(output, "JPEG", quality=95)
    assert auto(output.getvalue(), ("avif", "webp")).format == "webp"
