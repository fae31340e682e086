"""JPEGs with half the color resolution have tables that take fewer bytes for the same look."""

import io
from pathlib import Path

import numpy as np
import pictures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from render_helper import render_pixels, render_steps, step

from proxy.imaging.headers import probe
from proxy.imaging.quantization import quantization_tables
from proxy.imaging.ssimulacra2 import Reference

PHOTO = (Path(__file__).parents[1] / "photographs" / "portrait.jpg").read_bytes()


def tables(body: bytes) -> dict[int, list[int]]:
    with Image.open(io.BytesIO(body)) as image:
        assert isinstance(image, JpegImageFile)
        return image.quantization


@pytest.mark.parametrize("quality", [40, 60, 80, 89])
def test_a_photograph_takes_fewer_bytes_than_with_the_tables_of_the_standard(quality: int) -> None:
    pixels = render_pixels(PHOTO, step("resize", width=160))
    body = render_steps(
        pictures.encode(pixels), step("convert", format="jpeg", quality=quality)
    ).body
    standard = io.BytesIO()
    Image.fromarray(pixels).save(standard, "JPEG", quality=quality, optimize=True)
    reference = Reference(pixels)
    scores = [
        reference.score(pictures.decode(each)[..., :3]) for each in (body, standard.getvalue())
    ]
    assert len(body) < 0.97 * len(standard.getvalue())
    assert scores[0] > scores[1] - 1


@given(st.integers(5, 89), st.booleans())
@settings(max_examples=30)
def test_the_quality_of_our_own_jpegs_is_read_from_their_tables(
    quality: int, progressive: bool
) -> None:
    convert = step("convert", format="jpeg", quality=quality, progressive=progressive)
    body = render_steps(pictures.encode(pictures.scene(40, 30)), convert).body
    assert probe(body).quality == quality


@given(st.integers(1, 99))
def test_a_lower_quality_is_never_finer(quality: int) -> None:
    for lower, higher in zip(
        quantization_tables(quality), quantization_tables(quality + 1), strict=True
    ):
        assert len(lower) == len(higher) == 64
        assert all(255 >= one >= other >= 1 for one, other in zip(lower, higher, strict=True))


def test_full_color_resolution_has_the_tables_of_the_standard() -> None:
    original = pictures.encode(pictures.scene(40, 30))
    body = render_steps(original, step("convert", format="jpeg", quality=95)).body
    expected = io.BytesIO()
    Image.fromarray(pictures.scene(40, 30)).save(expected, "JPEG", quality=95)
    assert tables(body) == tables(expected.getvalue())


def test_steps_rise_with_the_frequency() -> None:
    for table in quantization_tables(50):
        steps = np.array(table).reshape(8, 8)
        assert (np.diff(steps, axis=0) >= 0).all()
        assert (np.diff(steps, axis=1) >= 0).all()
