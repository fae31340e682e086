"""Pictures compared by look: mean CIEDE2000 after a slight blur, against files in ``golden/``."""

from pathlib import Path

import pyvips

FOLDER = Path(__file__).with_name("golden")
_BOUND = 1.0
"""JPEG at quality 95 differs by 0.4, at 50 by 3, a shift of one pixel by more."""


def difference(one: pyvips.Image, other: pyvips.Image) -> float:
    """Mean CIEDE2000 of two 8-bit sRGB images of one size, on white where they have alpha."""
    return float(_smooth(one).dE00(_smooth(other)).avg())


def _smooth(image: pyvips.Image) -> pyvips.Image:
    flat = image.flatten(background=[255.0, 255.0, 255.0]) if image.hasalpha() else image
    return flat.gaussblur(0.7).colourspace("lab")


def check(body: bytes, name: str, *, write: bool) -> None:
    """Fail when the PNG does not look like ``golden/NAME.png``; write that file when asked to."""
    path = FOLDER / f"{name}.png"
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    assert path.exists(), f"{path} is missing; --golden writes it"
    found, wanted = (pyvips.Image.pngload_buffer(each) for each in (body, path.read_bytes()))
    assert (found.width, found.height) == (wanted.width, wanted.height)
    assert found.hasalpha() == wanted.hasalpha()
    assert difference(found, wanted) < _BOUND
    if found.hasalpha():
        assert (found[3].cast("short") - wanted[3]).abs().avg() < _BOUND
