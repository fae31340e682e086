"""What stands in for a picture until it is there: BlurHash, ThumbHash, and its main colours.

Each is made of a thumbnail, an array of (height, width, 4) bytes in sRGB with straight alpha, whose
longer side has at most 100 pixels. BlurHash is Wolt's, ThumbHash Evan Wallace's; both are small
sums of cosines.
"""

from base64 import b64encode

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from proxy.imaging.info_model import Color

Thumbnail = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float64]

SIDE = 64
"""Pixels of a thumbnail's longer side: more change nothing that could be seen."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_ACROSS, _DOWN = 4, 3  # components of a BlurHash

_STEP = 24  # of 256: colours in one cube of such sides are one colour
_APART = 48  # of 256: main colours are at least that far from each other


def blurhash(thumbnail: Thumbnail) -> str:
    """The BlurHash with 4 by 3 components; what is transparent counts as white."""
    waves = _waves(_linear(_over_white(thumbnail)), _ACROSS, _DOWN, at=0)
    waves[:, 1:, :] *= 2
    waves[:, :1, 1:] *= 2
    mean = [_srgb(value) for value in waves[:, 0, 0]]
    rest = waves.reshape(3, -1)[:, 1:].T
    greatest = float(np.abs(rest).max())
    scale = int(np.clip(np.floor(greatest * 166 - 0.5), 0, 82))
    steps = np.sign(rest) * np.sqrt(np.abs(rest) / ((scale + 1) / 166))
    levels = np.clip(np.floor(steps * 9 + 9.5), 0, 18).astype(int)
    return "".join(
        (
            _base83(_ACROSS - 1 + (_DOWN - 1) * 9, 1),
            _base83(scale, 1),
            _base83(mean[0] << 16 | mean[1] << 8 | mean[2], 4),
            *(_base83(red * 361 + green * 19 + blue, 2) for red, green, blue in levels.tolist()),
        )
    )


def thumbhash(thumbnail: Thumbnail) -> str:
    """The ThumbHash in base64."""
    height, width = thumbnail.shape[:2]
    alpha = thumbnail[:, :, 3] / 255.0
    seen = float(alpha.sum())
    colors = thumbnail[:, :, :3].transpose(2, 0, 1) / 255.0
    mean = (colors * alpha).sum(axis=(1, 2)) / seen if seen else np.zeros(3)
    red, green, blue = mean[:, None, None] * (1 - alpha) + colors * alpha
    see_through = seen < width * height
    longest = 5 if see_through else 7
    across = max(1, _rounded(longest * width / max(width, height)))
    down = max(1, _rounded(longest * height / max(width, height)))
    light = _channel((red + green + blue) / 3, max(3, across), max(3, down))
    yellow = _channel((red + green) / 2 - blue, 3, 3)
    rose = _channel(red - green, 3, 3)
    landscape = width > height
    head = (
        _rounded(63 * light.mean)
        | _rounded(31.5 + 31.5 * yellow.mean) << 6
        | _rounded(31.5 + 31.5 * rose.mean) << 12
        | _rounded(31 * light.scale) << 18
        | see_through << 23
    )
    more = (
        (down if landscape else across)
        | _rounded(63 * yellow.scale) << 3
        | _rounded(63 * rose.scale) << 9
        | landscape << 15
    )
    body = bytearray(head.to_bytes(3, "little") + more.to_bytes(2, "little"))
    channels = [light, yellow, rose]
    if see_through:
        opacity = _channel(alpha, 5, 5)
        body.append(_rounded(15 * opacity.mean) | _rounded(15 * opacity.scale) << 4)
        channels.append(opacity)
    levels = [_rounded(15 * value) for channel in channels for value in channel.waves]
    levels += [0] * (len(levels) % 2)
    body += bytes(low | high << 4 for low, high in zip(levels[::2], levels[1::2], strict=True))
    return b64encode(body).decode()


def main_colors(thumbnail: Thumbnail, most: int = 5) -> tuple[Color, ...]:
    """Up to ``most`` colours that are far from each other, the widest spread first."""
    pixels = thumbnail.reshape(-1, 4)
    pixels = pixels[pixels[:, 3] >= 128][:, :3].astype(np.float64)
    if not len(pixels):
        return ()
    cubes, members, counts = np.unique(
        (pixels // _STEP).astype(int), axis=0, return_inverse=True, return_counts=True
    )
    members = members.ravel()
    means = np.stack(
        [np.bincount(members, pixels[:, band], len(cubes)) / counts for band in range(3)], axis=1
    )
    chosen: list[npt.NDArray[np.float64]] = []
    for cube in np.argsort(-counts, kind="stable"):
        if all(np.linalg.norm(means[cube] - other) >= _APART for other in chosen):
            chosen.append(means[cube])
        if len(chosen) == most:
            break
    nearest = np.linalg.norm(pixels[:, None] - np.stack(chosen), axis=2).argmin(axis=1)
    shares = np.bincount(nearest, minlength=len(chosen)) / len(pixels)
    return tuple(
        Color(
            "#" + "".join(f"{_rounded(band):02x}" for band in chosen[at]),
            round(float(shares[at]), 3),
        )
        for at in np.argsort(-shares, kind="stable")
    )


_NOISE = 1e-9  # what sums of floats leave where there is no wave at all


class _Channel(Struct, frozen=True):
    """A plane's mean, its greatest wave, and all waves: 0 and 1 are the greatest, 0.5 none."""

    mean: float
    scale: float
    waves: list[float]


def _channel(plane: Plane, across: int, down: int) -> _Channel:
    waves = _waves(plane[None], across, down, at=0.5)[0]
    kept = [
        float(waves[y, x])
        for y in range(down)
        for x in range(across)
        if x * down < across * (down - y) and (x or y)
    ]
    scale = max(map(abs, kept))
    scale = scale if scale > _NOISE else 0.0
    shifted = [0.5 + 0.5 / scale * value for value in kept] if scale else [0.0] * len(kept)
    return _Channel(float(waves[0, 0]), scale, shifted)


def _waves(planes: Plane, across: int, down: int, *, at: float) -> Plane:
    """For each plane how much of every wave is in it: (planes, down, across).

    Waves are taken ``at`` that part of each pixel.
    """
    height, width = planes.shape[1:]
    x = np.cos(np.pi / width * np.outer(np.arange(across), np.arange(width) + at))
    y = np.cos(np.pi / height * np.outer(np.arange(down), np.arange(height) + at))
    waves: Plane = y @ planes @ x.T / (width * height)
    return waves


def _over_white(thumbnail: Thumbnail) -> Plane:
    alpha = thumbnail[:, :, 3:] / 255.0
    over: Plane = (thumbnail[:, :, :3] * alpha + 255 * (1 - alpha)).transpose(2, 0, 1)
    return over


def _linear(srgb: Plane) -> Plane:
    values = srgb / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _srgb(linear: float) -> int:
    value = min(max(linear, 0.0), 1.0)
    curved = value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return int(curved * 255 + 0.5)


def _base83(value: int, length: int) -> str:
    return "".join(_DIGITS[value // 83**place % 83] for place in reversed(range(length)))


def _rounded(value: float) -> int:
    """Halves upwards, as the hash's other implementations do."""
    return int(np.floor(value + 0.5))
