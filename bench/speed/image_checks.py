"""Check that a response is the requested image, and compare it with a reference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips
from scenarios import ImageSpec

_SIDE = 8  # of the windows that SSIM compares, in pixels
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class WrongImage(Exception):
    """A response is not an image, or not the requested one."""


def decode_checked(body: bytes, spec: ImageSpec, server: str) -> pyvips.Image:
    """Decode a response. Raises WrongImage unless size, format and frames are right."""
    try:
        image = pyvips.Image.new_from_buffer(body, "")
        frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
        loader = str(image.get("vips-loader"))
    except pyvips.Error as error:
        raise WrongImage(f"response of {server} is not an image: {body[:100]!r}") from error
    expected = {"jpeg": "jpegload", "webp": "webpload", "avif": "heifload"}[spec.format]
    if not loader.startswith(expected):
        raise WrongImage(f"response of {server} needs {loader}, expected {spec.format}")
    if image.width != spec.width or (spec.height and image.height != spec.height):
        raise WrongImage(f"response of {server} has {image.width}x{image.height} pixels for {spec}")
    if spec.animated and frames < 2:
        raise WrongImage(f"response of {server} is not animated")
    return image


def reference_images(original: Path, spec: ImageSpec) -> Iterator[pyvips.Image]:
    """The best possible renditions: every pixel decoded, Lanczos, no lossy encoding.

    A centered crop may start half a pixel to either side, or come before the scaling, so several
    renditions are equally right.
    """
    image = pyvips.Image.new_from_file(str(original))
    target = max(spec.width / image.width, spec.height / image.height)
    scaled = _scale(image, target, target)
    if not spec.height:
        yield scaled
        return
    left, top = (scaled.width - spec.width) / 2, (scaled.height - spec.height) / 2
    for x in {math.floor(left), math.ceil(left)}:
        for y in {math.floor(top), math.ceil(top)}:
            yield scaled.crop(x, y, spec.width, spec.height)
    width, height = round(spec.width / target), round(spec.height / target)
    cropped = image.crop((image.width - width) // 2, (image.height - height) // 2, width, height)
    yield _scale(cropped, spec.width / width, spec.height / height)


def _scale(image: pyvips.Image, x_scale: float, y_scale: float) -> pyvips.Image:
    if not image.hasalpha():
        return image.resize(x_scale, vscale=y_scale)
    return image.premultiply().resize(x_scale, vscale=y_scale).unpremultiply().cast("uchar")


def ssim(one: pyvips.Image, other: pyvips.Image) -> float:
    """Mean structural similarity of luma in windows of 8 x 8 pixels; 1 is equal.

    Method: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
    2004.
    """
    a, b = _luma(one), _luma(other)
    rows, columns = min(a.shape[0], b.shape[0]), min(a.shape[1], b.shape[1])
    a, b = a[:rows, :columns], b[:rows, :columns]
    mean_a, mean_b = _means(a), _means(b)
    var_a = _means(a * a) - mean_a**2
    var_b = _means(b * b) - mean_b**2
    covariance = _means(a * b) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    denominator = (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
    return float(np.mean(numerator / denominator))


def _luma(image: pyvips.Image) -> npt.NDArray[np.float64]:
    if image.hasalpha():
        image = image.flatten(background=[255, 255, 255])
    gray = image.colourspace("b-w").extract_band(0).cast("uchar")
    return np.asarray(gray.numpy(), dtype=np.float64)


def _means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean of every window, by cumulative sums."""
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    total = sums[_SIDE:, _SIDE:] - sums[:-_SIDE, _SIDE:] - sums[_SIDE:, :-_SIDE]
    means: npt.NDArray[np.float64] = (total + sums[:-_SIDE, :-_SIDE]) / _SIDE**2
    return means
