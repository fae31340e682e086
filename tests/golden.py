"""Compare pictures with golden files: mean CIEDE2000 after a slight blur."""

from pathlib import Path

import pyvips

FOLDER = Path(__file__).with_name("golden")
_BOUND = 1.0
"""JPEG at quality 95 differs by 0.4, at 50 by 3, a shift by one pixel by more."""


def difference(one: pyvips.Image, other: pyvips.Image) -> float:
    """The mean CIEDE2000 of two 8-bit sRGB images of one size, flattened on white."""
    return float(_smooth(one).dE00(_smooth(other)).avg())


def _smooth(image: pyvips.Image) -> pyvips.Image:
    flat = image.flatten(background=[255.0, 255.0, 255.0]) if image.hasalpha() else image
    return flat.gaussblur(0.7).colourspace("lab")


def check_golden(body: bytes, name: str, *, write: bool) -> None:
    """Fail where the PNG differs from ``golden/NAME.png``, or write that file."""
    path = FOLDER / f"{name}.png"
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    assert path.exists(), f"{path} is missing; --golden writes it"
    actual, expected = (pyvips.Image.pngload_buffer(each) for each in (body, path.read_bytes()))
    assert (actual.width, actual.height) == (expected.width, expected.height)
    assert actual.hasalpha() == expected.hasalpha()
    assert difference(actual, expected) < _BOUND
    if actual.hasalpha():
        assert (actual[3].cast("short") - expected[3]).abs().avg() < _BOUND
