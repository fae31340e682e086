"""Whether an answer is the picture that was asked for, and how close it is to a careful one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips
from scenarios import Wish

_SIDE = 8  # of the windows that SSIM compares, in pixels
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class WrongPicture(Exception):
    """An answer is no picture, or not the one that was asked for."""


def check(body: bytes, wish: Wish, who: str) -> pyvips.Image:
    """The picture in an answer. Raises WrongPicture unless size, format and frames are right."""
    try:
        image = pyvips.Image.new_from_buffer(body, "")
        frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
        loader = str(image.get("vips-loader"))
    except pyvips.Error as error:
        raise WrongPicture(f"{who} did not answer with a picture: {body[:100]!r}") from error
    expected = {"jpeg": "jpegload", "webp": "webpload", "avif": "heifload"}[wish.format]
    if not loader.startswith(expected):
        raise WrongPicture(f"{who} answered with {loader} for {wish.format}")
    if image.width != wish.width or (wish.height and image.height != wish.height):
        raise WrongPicture(f"{who} answered {image.width}x{image.height} for {wish}")
    if wish.animated and frames < 2:
        raise WrongPicture(f"{who} did not keep the frames")
    return image


def references(original: Path, wish: Wish) -> Iterator[pyvips.Image]:
    """The wish done with care and without haste: every pixel decoded, Lanczos, nothing lossy.

    A window in the middle may begin half a pixel to either side, or be cut out before scaling, so
    there are some that are equally right.
    """
    image = pyvips.Image.new_from_file(str(original))
    target = max(wish.width / image.width, wish.height / image.height)
    whole = _scaled(image, target, target)
    if not wish.height:
        yield whole
        return
    left, top = (whole.width - wish.width) / 2, (whole.height - wish.height) / 2
    for x in {math.floor(left), math.ceil(left)}:
        for y in {math.floor(top), math.ceil(top)}:
            yield whole.crop(x, y, wish.width, wish.height)
    width, height = round(wish.width / target), round(wish.height / target)
    first = image.crop((image.width - width) // 2, (image.height - height) // 2, width, height)
    yield _scaled(first, wish.width / width, wish.height / height)


def _scaled(image: pyvips.Image, across: float, down: float) -> pyvips.Image:
    if not image.hasalpha():
        return image.resize(across, vscale=down)
    return image.premultiply().resize(across, vscale=down).unpremultiply().cast("uchar")


def ssim(one: pyvips.Image, other: pyvips.Image) -> float:
    """Mean structural similarity of luma (Wang et al. 2004) over windows of 8 by 8; 1 is equal."""
    a, b = _luma(one), _luma(other)
    rows, columns = min(a.shape[0], b.shape[0]), min(a.shape[1], b.shape[1])
    a, b = a[:rows, :columns], b[:rows, :columns]
    mean_a, mean_b = _means(a), _means(b)
    var_a = _means(a * a) - mean_a**2
    var_b = _means(b * b) - mean_b**2
    both = _means(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + _C1) * (2 * both + _C2)
    return float(np.mean(top / ((mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2))))


def _luma(image: pyvips.Image) -> npt.NDArray[np.float64]:
    if image.hasalpha():
        image = image.flatten(background=[255, 255, 255])
    grey = image.colourspace("b-w").extract_band(0).cast("uchar")
    return np.asarray(grey.numpy(), dtype=np.float64)


def _means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean of every window, by sums over rows and columns."""
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    total = sums[_SIDE:, _SIDE:] - sums[:-_SIDE, _SIDE:] - sums[_SIDE:, :-_SIDE]
    means: npt.NDArray[np.float64] = (total + sums[:-_SIDE, :-_SIDE]) / _SIDE**2
    return means
