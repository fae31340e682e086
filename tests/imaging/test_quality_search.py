"""`convert:webp:good`: the quality is found by the look of a sample, and is the same everywhere."""

import io
from typing import Any

import numpy as np
import pictures
import pytest
import pyvips
from PIL import Image
from render_helper import DETECTOR, REGISTRY, step

from proxy.errors import InvalidOperation
from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.encoder_options import EncoderOptions
from proxy.imaging.encoders import choose_coding
from proxy.imaging.headers import ImageHeader
from proxy.imaging.picture import OutputOptions, Picture
from proxy.imaging.quality_search import _CURVES
from proxy.imaging.results import Rendition
from proxy.imaging.score_targets import TARGETS
from proxy.imaging.ssimulacra2 import Reference
from proxy.limits import Limits
from proxy.operations.estimate import PlanEstimate
from proxy.operations.pipeline import render

LOSSY: list[FormatName] = ["jpeg", "webp"]


def photo(width: int = 200, height: int = 150, noise: float = 4) -> pictures.Pixels:
    added = np.random.default_rng(5).normal(0, noise, (height, width, 3))
    pixels: pictures.Pixels = np.clip(pictures.scene(width, height) + added, 0, 255).astype(
        np.uint8
    )
    return pixels


def convert(
    pixels: pictures.Pixels, format: str, *steps: dict[str, Any], **fields: Any
) -> Rendition:
    plan = REGISTRY.plan([*steps, step("convert", format=format, **fields)])
    return render(pictures.encode(pixels), plan, Limits(), detector=DETECTOR).rendition


def score(pixels: pictures.Pixels, body: bytes) -> float:
    with Image.open(io.BytesIO(body)) as file:
        return Reference(pixels).score(np.asarray(file.convert("RGB")))


@pytest.mark.parametrize("format", LOSSY)
def test_pictures_that_differ_look_as_asked(format: FormatName) -> None:
    """At one number for all they are further from it."""
    samples = [photo(noise=noise) for noise in (1, 5, 12)]
    found = [score(pixels, convert(pixels, format, quality="good").body) for pixels in samples]
    fixed = [score(pixels, convert(pixels, format, quality=75).body) for pixels in samples]
    assert sum(abs(value - 75) for value in found) < sum(abs(value - 75) for value in fixed)


@pytest.mark.parametrize("format", LOSSY)
def test_better_names_take_more_bytes_and_look_better(format: FormatName) -> None:
    pixels = photo()
    best, *_, low = bodies = [convert(pixels, format, quality=name).body for name in TARGETS]
    sizes = [len(body) for body in bodies]
    assert sizes == sorted(sizes, reverse=True)
    assert score(pixels, best) > score(pixels, low)


def test_a_name_is_its_score() -> None:
    pixels = photo()
    for name, target in TARGETS.items():
        by_name = convert(pixels, "webp", quality=name)
        assert by_name.body == convert(pixels, "webp", ssimulacra2=target).body


def test_an_avif_is_found_by_its_look() -> None:
    pixels = photo(128, 128)
    better = convert(pixels, "avif", quality="best").body
    assert len(better) > len(convert(pixels, "avif", quality="low").body)


def test_a_jxl_is_found_by_its_look() -> None:
    pytest.importorskip("pillow_jxl")
    pixels = photo(128, 128)
    better = convert(pixels, "jxl", quality="best").body
    assert len(better) > len(convert(pixels, "jxl", quality="low").body)


def test_the_same_picture_gets_the_same_quality() -> None:
    pixels = photo()
    assert (
        convert(pixels, "webp", quality="eco").body == convert(pixels, "webp", quality="eco").body
    )


def test_transparency_stays() -> None:
    body = convert(pictures.translucent_scene(), "webp", quality="eco").body
    with Image.open(io.BytesIO(body)) as file:
        assert file.mode == "RGBA"


def test_an_animation_is_judged_by_its_middle_frame() -> None:
    frames = pictures.encode_animation(pictures.moving_square())
    plan = REGISTRY.plan([step("convert", format="webp", quality="eco")])
    body = render(frames, plan, Limits(), detector=DETECTOR).rendition.body
    with Image.open(io.BytesIO(body)) as file:
        assert getattr(file, "n_frames", 1) == 4


@pytest.mark.parametrize("size", [(1, 1), (31, 200), (200, 31), (32, 32), (64, 40), (33, 500)])
def test_small_and_narrow_pictures_have_a_quality(size: tuple[int, int]) -> None:
    assert convert(photo(*size), "webp", quality="good").body


def test_the_last_of_quality_and_convert_counts() -> None:
    pixels = photo()
    by_look = convert(pixels, "webp", step("quality", webp=10), quality="good").body
    assert by_look == convert(pixels, "webp", quality="good").body
    plan = REGISTRY.plan([step("convert", format="webp", quality="good"), step("quality", webp=10)])
    by_number = render(pictures.encode(pixels), plan, Limits(), detector=DETECTOR).rendition.body
    assert by_number == convert(pixels, "webp", quality=10).body


def test_a_bound_of_bytes_still_holds() -> None:
    bounded = step("compress_to_size", max_file_size_in_bytes=2_000)
    assert len(convert(photo(), "webp", bounded, quality="best").body) <= 2_000


def test_lossless_formats_ignore_a_look() -> None:
    pixels = photo(40, 40)
    assert convert(pixels, "png", quality="low").body == convert(pixels, "png").body


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"format": "webp", "quality": "nice"}, "one of best, eco, good, low"),
        ({"format": "webp", "quality": "good", "ssimulacra2": 70}, "exclude each other"),
        ({"format": "webp", "quality": 70, "ssimulacra2": 70}, "exclude each other"),
        ({"format": "heif", "quality": "good"}, "heif has no quality by look"),
        ({"format": "webp", "ssimulacra2": 29}, "from 30.0 to 92.0"),
        ({"format": "webp", "ssimulacra2": 93}, "from 30.0 to 92.0"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidOperation, match=reason):
        REGISTRY.plan([step("convert", **fields)])


def test_the_estimate_knows_the_search() -> None:
    def seconds(**fields: object) -> float:
        plan = REGISTRY.plan([step("convert", format="avif", **fields)])
        header = ImageHeader("png", 1000, 800)
        return PlanEstimate(plan).seconds_from_original(header, 1)

    assert seconds(quality="good") == seconds(ssimulacra2=75) > seconds(quality=60)


@pytest.mark.parametrize("format", _CURVES)
def test_a_better_score_never_has_a_lower_quality(format: FormatName) -> None:
    curve = _CURVES[format]
    assert list(curve.errors) == sorted(curve.errors, reverse=True)
    qualities = [curve.quality_for(error / 100) for error in range(450, 100, -5)]
    assert qualities == sorted(qualities)
    assert all(1 <= quality <= 100 for quality in qualities)


def still(pixels: pictures.Pixels, format: FormatName) -> Picture:
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    size = Size(image.width, image.height)
    return Picture(image, size, output=OutputOptions(format), detector=DETECTOR)


def test_a_sample_is_coded_as_the_whole() -> None:
    """Alone, small tiles would have a higher effort, and plain ones be graphics."""
    photograph = still(photo(400, 300), "avif")
    assert choose_coding(photograph, "avif") == EncoderOptions(effort=2, graphic=False)
    graphic = still(np.full((300, 400, 3), 90, np.uint8), "avif")
    assert choose_coding(graphic, "avif").graphic
    translucent = still(pictures.translucent_scene(), "webp")
    assert choose_coding(translucent, "webp").effort == 4


@pytest.mark.parametrize("format", LOSSY)
def test_a_small_picture_looks_as_asked(format: FormatName) -> None:
    """It is compared as a whole."""
    pixels = photo(noise=12)
    assert abs(score(pixels, convert(pixels, format, quality="low").body) - 55) < 3


def test_a_jpeg_that_needs_all_of_its_color_has_it() -> None:
    """With half of it, no quality would do."""
    pixels = photo(noise=1)
    assert score(pixels, convert(pixels, "jpeg", quality=89).body) < 73
    assert score(pixels, convert(pixels, "jpeg", quality="good").body) > 75
