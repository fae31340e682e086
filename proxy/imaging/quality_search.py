"""Find the lowest quality at which a picture looks as asked, by SSIMULACRA2 on a sample of it.

Up to 16 tiles that stand for the picture, or all of a small one, are encoded as one small file and
compared with what they were. Tiles look other than the whole: nothing around them is seen, nor what
is between them. So their score is corrected by constants, which `bench/quality/fit.py` fits to
pictures. Then the quality is read from the usual curve of the format, shifted to meet the sample;
where that is far away, it is measured again, up to three times in all.

Sums of floats end in other digits on other processors. They are rounded before a quality is chosen
by them, so that the same picture gets the same quality everywhere.
"""

import io
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyvips
from msgspec import structs
from PIL import Image

from proxy.formats import FormatName
from proxy.imaging.encoders import choose_coding, encode_as
from proxy.imaging.picture import Picture
from proxy.imaging.score_targets import MAX_SAMPLE_ENCODES
from proxy.imaging.shrink_on_load import MAX_IN_MEMORY_PIXELS
from proxy.imaging.ssimulacra2 import Pixels, Reference
from proxy.imaging.tile_sample import take_sample

_MIN_SIDE = 32
"""A picture with a shorter side is too small for a score; it gets the usual quality."""

_CLOSE = 0.1
"""An error whose logarithm is off by no more is not measured again at the better quality."""

_MIN_SLOPE, _MAX_SLOPE = 0.4, 2.0

_NEIGHBORS = 3
"""Of two qualities that are no farther apart, of which one is too low, the other one is taken: JPEG
gets full color at 90, so that no curve fits both."""

_DIGITS = 4


class _Curve(NamedTuple):
    """What is usual for a format.

    ``errors`` are the logarithms of 100 minus the score of a picture at ``qualities``. ``first``
    are weights for the features of a picture, and a constant: how much more its errors are.
    ``correction`` has weights for the error of its tiles, the usual one at that quality, and the
    features: how much more than that of the tiles the error of the whole is.
    """

    qualities: tuple[int, ...]
    errors: tuple[float, ...]
    first: tuple[float, ...]
    correction: tuple[float, ...]

    def error_at(self, quality: int) -> float:
        return float(np.interp(quality, self.qualities, self.errors))

    def quality_for(self, error: float) -> int:
        falling = [-value for value in self.errors]
        quality = float(np.interp(-error, falling, self.qualities))
        return math.floor(round(quality, _DIGITS) + 0.5)


_CURVES: Mapping[FormatName, _Curve] = {
    "jpeg": _Curve(
        (8, 15, 25, 35, 50, 65, 80, 89, 90, 95, 98),
        (4.562, 4.229, 3.932, 3.757, 3.557, 3.352, 3.064, 2.733, 2.466, 2.057, 1.590),
        (0.004, 0.019, -0.708, -0.323, 0.132, -0.448, -0.327, 0.121, 0.230),
        (-0.064, 0.134, -0.005, -0.027, 0.280, 0.047, -0.033, -0.029, -0.070, -0.029, 0.062),
    ),
    "webp": _Curve(
        (2, 10, 20, 35, 50, 65, 80, 90, 97),
        (4.413, 4.160, 3.966, 3.761, 3.595, 3.437, 3.184, 2.776, 2.442),
        (0.038, -0.100, -0.417, -0.788, 0.327, -0.250, -0.262, 0.094, 0.349),
        (-0.024, 0.062, 0.016, -0.012, 0.222, 0.031, -0.016, -0.026, -0.071, -0.016, 0.215),
    ),
    "avif": _Curve(
        (10, 25, 35, 45, 55, 65, 75, 85, 94),
        (4.571, 4.250, 3.953, 3.631, 3.334, 3.064, 2.771, 2.440, 1.599),
        (0.045, 0.025, -0.657, -0.992, 0.210, -0.281, -0.182, 0.038, 0.244),
        (-0.044, 0.044, 0.013, -0.007, 0.023, 0.076, -0.044, 0.318, -0.064, -0.091, 0.219),
    ),
    "jxl": _Curve(
        (25, 40, 55, 70, 80, 90, 95),
        (3.920, 3.744, 3.579, 3.313, 3.028, 2.576, 2.164),
        (0.069, 0.084, 0.234, -1.097, 0.303, -1.133, -0.150, 0.291, 0.234),
        (-0.181, 0.197, 0.019, 0.033, 0.781, -0.315, 0.083, -0.536, 0.064, 0.044, 0.184),
    ),
}


def find_quality(picture: Picture, format: FormatName, score: float) -> tuple[Picture, int]:
    """The quality from 1 to 100 on the format's scale, and the picture in memory.

    ``score`` is that of SSIMULACRA2. A picture of more than 16 megapixels, which is never held in
    memory, and one with a side below 32 pixels get the quality that is usual for the score.
    """
    curve = _CURVES[format]
    wanted = log_error(score)
    size = picture.frame_size
    if picture.image.width * picture.image.height > MAX_IN_MEMORY_PIXELS:
        return picture, curve.quality_for(wanted)
    if min(size.width, size.height) < _MIN_SIDE:
        return picture, curve.quality_for(wanted)
    picture = picture.materialize()
    return picture, _find(TileSample(picture, format), curve, wanted)


def _find(sample: "TileSample", curve: _Curve, wanted: float) -> int:
    quality = curve.quality_for(round(wanted - _weigh(curve.first, sample.features), _DIGITS))
    worse: _Measured | None = None
    better: _Measured | None = None
    slope = 1.0
    for _ in range(MAX_SAMPLE_ENCODES):
        usual, error = curve.error_at(quality), sample.error_at(quality)
        if not sample.is_whole:
            error += _weigh(curve.correction, (error, usual, *sample.features))
        measured = _Measured(quality, usual, round(error, _DIGITS))
        slope = max((measured.slope_from(last) for last in (worse, better) if last), default=slope)
        if measured.error > wanted:
            worse = measured
        else:
            better = measured
        if worse and better and better.quality - worse.quality <= _NEIGHBORS:
            return better.quality
        quality = curve.quality_for(round(usual + (wanted - measured.error) / slope, _DIGITS))
        if worse and better:
            quality = max(worse.quality + 1, min(quality, better.quality - 1))
        if abs(wanted - measured.error) <= _CLOSE or quality == measured.quality:
            break
    return quality


class _Measured(NamedTuple):
    """The logarithm of the error at a quality, and what is usual there."""

    quality: int
    usual: float
    error: float

    def slope_from(self, other: "_Measured") -> float:
        """How much faster than usual the error falls between two qualities, within reason."""
        if self.usual == other.usual:
            return 1.0
        slope = (self.error - other.error) / (self.usual - other.usual)
        return max(_MIN_SLOPE, min(slope, _MAX_SLOPE))


def can_find_quality(format: FormatName) -> bool:
    """Whether the format has qualities that are known by their look."""
    return format in _CURVES


def log_error(score: float) -> float:
    """What the constants are fitted to: the logarithm of 100 minus the score."""
    return math.log(max(100.0 - score, 0.5))


def _weigh(weights: tuple[float, ...], values: tuple[float, ...]) -> float:
    """The weighted sum, and the last weight as a constant."""
    return sum(weight * value for weight, value in zip(weights, (*values, 1.0), strict=True))


class TileSample:
    """Tiles of a picture that are encoded as one picture, one below the other."""

    def __init__(self, picture: Picture, format: FormatName) -> None:
        sample = take_sample(_opaque_frame(picture))
        self.features = sample.features
        self.is_whole = sample.is_whole
        self._tiles = sample.tiles
        self._reference = Reference(self._tiles, np.float32)
        self._format = format
        encoders = {format: choose_coding(picture, format)}
        output = structs.replace(picture.output, keep_metadata=(), encoders=encoders)
        self._picture = structs.replace(
            picture, image=self._stack(), animation=None, gain_map=None, output=output
        )

    def error_at(self, quality: int) -> float:
        """The logarithm of 100 minus the score of the tiles."""
        body = encode_as(self._picture, self._format, quality)
        decoded = _decode(body, self._format).reshape(self._tiles.shape)
        return log_error(self._reference.score(decoded))

    def _stack(self) -> pyvips.Image:
        image = pyvips.Image.new_from_array(self._tiles.reshape(-1, *self._tiles.shape[2:]))
        return image.copy(interpretation="srgb")


def _opaque_frame(picture: Picture) -> Pixels:
    """The middle frame on white."""
    image = picture.frame(picture.frame_count // 2)
    if image.hasalpha():
        image = image.flatten(background=[255.0, 255.0, 255.0])
    pixels: Pixels = image.numpy().reshape(image.height, image.width, 3)
    return pixels


def _decode(body: bytes, format: FormatName) -> Pixels:
    if format == "avif":
        image = pyvips.Image.heifload_buffer(body).colourspace("srgb")
        decoded: Pixels = image.numpy()[:, :, :3]
        return decoded
    with Image.open(io.BytesIO(body), formats=(format.upper(),)) as file:
        return np.asarray(file.convert("RGB"))
