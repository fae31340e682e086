"""Files of fewer bytes with the same look, in every format."""

import io
from pathlib import Path

import numpy as np
import pytest
from pictures import Pixels, encode, gradient, scene, translucent_scene
from PIL import Image
from render_helper import DETECTOR, REGISTRY, step

from proxy.formats import FormatName
from proxy.imaging.results import Rendition
from proxy.imaging.ssimulacra2 import Reference
from proxy.limits import Limits
from proxy.operations.pipeline import render

PHOTO = (Path(__file__).parents[1] / "photographs" / "portrait.jpg").read_bytes()
WIDTH = 96


def both(
    original: bytes, *steps: dict[str, object], accepted: tuple[FormatName, ...] = ()
) -> tuple[Rendition, Rendition]:
    """The first rendition and the optimized one."""
    plan = REGISTRY.plan(list(steps)).with_accepted_formats(accepted)
    limits = Limits()
    first = render(original, plan, limits, detector=DETECTOR).rendition
    better = render(original, plan, limits, detector=DETECTOR, optimize_from=accepted).rendition
    return first, better


def decode(body: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))


@pytest.mark.parametrize(
    ("format", "original", "change"),
    [
        ("webp", PHOTO, step("resize", width_in_px=WIDTH)),
        ("jpeg", encode(scene(200, 150)), step("blur", sigma=1.5)),
    ],
    ids=["webp", "jpeg"],
)
def test_a_picture_takes_fewer_bytes_and_looks_as_good(
    format: FormatName, original: bytes, change: dict[str, object]
) -> None:
    first, better = both(original, change, step("convert", format=format))
    uncoded, _ = both(original, change, step("convert", format="png"))
    assert (better.format, better.size) == (format, first.size)
    assert len(better.body) < 0.97 * len(first.body)
    reference = Reference(decode(uncoded.body))
    assert reference.score(decode(better.body)) > reference.score(decode(first.body)) - 0.5


def test_a_photograph_takes_no_more_bytes_as_jpeg() -> None:
    first, better = both(PHOTO, step("resize", width_in_px=WIDTH), step("convert", format="jpeg"))
    assert len(better.body) <= len(first.body)


def test_avif_takes_no_more_bytes() -> None:
    first, better = both(
        PHOTO, step("resize", width_in_px=WIDTH), step("convert", format="auto"), accepted=("avif",)
    )
    assert (first.format, better.format) == ("avif", "avif")
    assert len(better.body) <= len(first.body)


@pytest.mark.parametrize("original", [encode(scene(90, 60)), encode(translucent_scene(90, 60))])
def test_a_png_keeps_every_pixel(original: bytes) -> None:
    first, better = both(original, step("blur", sigma=1.5), step("convert", format="png"))
    assert len(better.body) <= len(first.body)
    images = [
        np.asarray(Image.open(io.BytesIO(one.body)).convert("RGBA")) for one in (first, better)
    ]
    assert np.array_equal(images[0], images[1])


@pytest.mark.parametrize(
    "steps",
    [
        (step("convert", format="gif"),),
        (step("convert", format="jpeg"), step("compress_to_size", max_file_size_in_bytes=2000)),
        (step("resize", width_in_px=12, height_in_px=200), step("convert", format="jpeg")),
    ],
    ids=["another format", "bounded bytes", "a narrow strip"],
)
def test_other_renditions_stay_as_they_are(steps: tuple[dict[str, object], ...]) -> None:
    first, better = both(encode(gradient(120, 90)), *steps)
    assert better == first
