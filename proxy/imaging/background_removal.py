"""What stands before a plain background, without a model: an approximation by colour.

The background is what the picture's edges show: a smooth surface of colour, fitted to them, and all
that is like it and reachable from an edge. Places enclosed by the subject stay, whatever their
colour. Edges are soft, and the background's colour is taken out of them.
"""

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.geometry import Size, within
from proxy.imaging.alpha import faded, weighted
from proxy.imaging.blur import blurred
from proxy.imaging.resize import scaled

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_LARGEST = 1280  # px of the longer side; larger pictures get the enlarged alpha of a smaller one
_WORKED_AT = 1024  # px of the longer side at which it is decided what is reachable
_EDGE = 0.02  # of a side: how broad the edges are that are looked at
_ROUNDS = 4
_LEAST_DISTANCE = 5.0  # in CIELAB: what no eye tells apart, and what JPEG makes of one colour
_MOST_DISTANCE = 22.0
_SOFT = 2.0  # how much further than that a pixel is wholly subject
_TRACE = 8  # of 255: the least alpha from which a colour can be told
_REACH = 3  # px beyond the reachable region in which edges are soft


def subject(image: pyvips.Image) -> pyvips.Image:
    """The 8-bit sRGB image with its background made transparent."""
    size = Size(image.width, image.height)
    if max(image.width, image.height) > _LARGEST:
        small = scaled(image, within(size, Size(_LARGEST, _LARGEST)))
        return faded(image, scaled(_cut(small)[3], size))
    return _cut(image)


def _cut(image: pyvips.Image) -> pyvips.Image:
    flat = image[:3].copy(interpretation="srgb")
    pixels: Bytes = flat.numpy()
    lab: Floats = flat.colourspace("lab").numpy()
    surface = _surface(lab)
    distance = np.sqrt(((lab - surface.evaluated(lab.shape)) ** 2).sum(axis=2))
    bound = surface.bound
    near = _reachable(distance < bound)
    share = np.clip((distance - bound * 0.5) / (bound * _SOFT - bound * 0.5), 0, 1)
    share = np.where(near, share, 1.0)
    share = share * share * (3 - 2 * share)
    own = _without_background(pixels, share, near)
    alpha = np.rint(share * 255)
    if image.hasalpha():
        alpha = np.rint(share * image[3].numpy())
    joined = np.dstack([own, alpha]).astype(np.uint8)
    return pyvips.Image.new_from_array(joined).copy(interpretation="srgb")


class _Surface:
    """A background's colour over the picture: a polynomial of second degree for each channel."""

    def __init__(self, weights: Floats, bound: float) -> None:
        self.weights, self.bound = weights, bound

    def evaluated(self, shape: tuple[int, ...]) -> Floats:
        rows = np.linspace(-1, 1, shape[0], dtype=np.float32)
        columns = np.linspace(-1, 1, shape[1], dtype=np.float32)
        x, y = np.meshgrid(columns, rows)
        found: Floats = _terms(x, y) @ self.weights
        return found


def _terms(x: Floats, y: Floats) -> Floats:
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).astype(np.float32)


def _surface(lab: Floats) -> _Surface:
    """The surface through the edges; what does not lie on it is left out, round by round."""
    height, width = lab.shape[:2]
    broad = max(1, round(min(height, width) * _EDGE))
    edge = np.zeros((height, width), bool)
    edge[:broad], edge[-broad:], edge[:, :broad], edge[:, -broad:] = True, True, True, True
    rows, columns = np.nonzero(edge)
    step = max(1, rows.size // 20_000)
    rows, columns = rows[::step], columns[::step]
    x = (columns / max(1, width - 1) * 2 - 1).astype(np.float32)
    y = (rows / max(1, height - 1) * 2 - 1).astype(np.float32)
    terms, colours = _terms(x, y), lab[rows, columns]
    middle = np.median(colours, axis=0)
    residue = np.sqrt(((colours - middle) ** 2).sum(axis=1))
    for _ in range(_ROUNDS):
        bound = float(np.clip(np.percentile(residue, 50) * 2.5, _LEAST_DISTANCE, _MOST_DISTANCE))
        on_it = residue <= max(bound, float(np.percentile(residue, 30)))
        weights = np.linalg.lstsq(terms[on_it], colours[on_it], rcond=None)[0].astype(np.float32)
        residue = np.sqrt(((colours - terms @ weights) ** 2).sum(axis=1))
    return _Surface(weights, bound)


def _reachable(alike: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What is background: reachable from an edge through what is like it, and a little beyond."""
    height, width = alike.shape
    mask = pyvips.Image.new_from_array(alike.astype(np.uint8) * 255)
    factor = max(1, max(height, width) // _WORKED_AT)
    small = mask.shrink(factor, factor, ceil=True) >= 128
    regions = small.labelregions().numpy()
    labels = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    inside = small.numpy() > 0
    from_edge = np.unique(
        labels[np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])]
    )
    reached = np.isin(regions, from_edge) & inside
    grown = pyvips.Image.new_from_array(reached.astype(np.uint8) * 255)
    broad = 2 * _REACH + 1
    grown = grown.rank(broad, broad, broad * broad - 1)  # the largest around: a dilation
    full = grown.zoom(factor, factor).crop(0, 0, width, height)
    return full.numpy() > 0


def _without_background(pixels: Bytes, share: Floats, near: npt.NDArray[np.bool_]) -> Bytes:
    """Edge pixels in the subject's own colour: that of the nearest that are wholly subject."""
    solid = ((share >= 1) * 255).astype(np.uint8)
    own = pyvips.Image.new_from_array(np.dstack([pixels, solid])).copy(interpretation="srgb")
    around = weighted(own, lambda one: blurred(one, _REACH)).numpy()
    nearby = np.where(around[:, :, 3:] > _TRACE, around[:, :, :3], pixels)
    mixed = (near & (share < 1))[:, :, None]
    return np.where(mixed, nearby, pixels).astype(np.uint8)
