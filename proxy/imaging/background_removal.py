"""Remove a plain background by color, without a model.

The background is what the borders of the picture show: a smooth surface of color, fitted to them,
and everything like it that is connected to a border. Regions enclosed by the subject stay, whatever
their color. The cut has soft edges, and the background's color is removed from them.

Where the borders are lively, or what remains has a ragged outline as foliage, waves and crowds
leave it, there is no plain background: that is an error, not a result.
"""

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.geometry import Size, contain
from proxy.imaging.alpha import map_premultiplied, scale_alpha
from proxy.imaging.blur import gaussian_blur
from proxy.imaging.resize import resize_image

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_MAX_SIDE = 1280  # px; a larger picture gets the enlarged alpha of a smaller one
_MAX_FILL_SIDE = 1024  # px; regions are connected at most at this size
_BORDER = 0.02  # of the shorter side: the width of the borders that the background is fitted to
_MAX_BORDER_SAMPLES = 20_000
_FIT_ROUNDS = 4
_MIN_DISTANCE = 5.0  # in CIELAB: nobody sees less, and JPEG changes a color by as much
_MAX_DISTANCE = 22.0
_SOFTNESS = 2.0  # times the background's distance: from there on a pixel is opaque
_MIN_ALPHA = 8  # of 255: below, a blurred color means nothing
_EDGE_WIDTH = 3  # px around the background in which edges are soft

_OUTLINE_SIDE = 320  # px; the outline of what remains is measured at most at this size
_MAX_RAGGEDNESS = 12.0  # a square has 4, a person about 8
_MAX_RAGGEDNESS_LIVELY = 8.0  # where the borders differ as much as a background may
_MIN_BORDER_SHARE = 0.4  # of the borders that is background
_MIN_REMOVED, _MIN_LEFT = 0.02, 0.005  # of the picture


class UnclearBackground(ValueError):
    """The background cannot be told from the subject; the message says why."""


def remove_background(image: pyvips.Image) -> pyvips.Image:
    """Make the background of an 8-bit sRGB image transparent.

    Raises UnclearBackground.
    """
    size = Size(image.width, image.height)
    if max(image.width, image.height) > _MAX_SIDE:
        small = resize_image(image, contain(size, Size(_MAX_SIDE, _MAX_SIDE)))
        return scale_alpha(image, resize_image(_cut_out(small)[3], size))
    return _cut_out(image)


def _cut_out(image: pyvips.Image) -> pyvips.Image:
    rgb = image[:3].copy(interpretation="srgb")
    pixels: Bytes = rgb.numpy()
    lab: Floats = rgb.colourspace("lab").numpy()
    surface = _fit_surface(lab)
    distance = np.sqrt(((lab - surface.evaluate(lab.shape)) ** 2).sum(axis=2))
    bound = surface.bound
    background = _fill_from_borders(distance < bound)
    _check_outline(background, bound)
    opacity = np.clip((distance - bound * 0.5) / (bound * _SOFTNESS - bound * 0.5), 0, 1)
    opacity = np.where(background, opacity, 1.0)
    opacity = opacity * opacity * (3 - 2 * opacity)
    colors = _without_background_color(pixels, opacity, background)
    alpha = np.rint(opacity * 255)
    if image.hasalpha():
        alpha = np.rint(opacity * image[3].numpy())
    joined = np.dstack([colors, alpha]).astype(np.uint8)
    return pyvips.Image.new_from_array(joined).copy(interpretation="srgb")


def _check_outline(background: Mask, bound: float) -> None:
    """Raise UnclearBackground where the cut-out would be rubble, or the whole picture."""
    height, width = background.shape
    factor = -(-max(height, width) // _OUTLINE_SIDE)
    mask = pyvips.Image.new_from_array(background.astype(np.uint8) * 255)
    small = mask.shrink(factor, factor, ceil=True).numpy() >= 128
    removed = float(small.mean())
    if removed < _MIN_REMOVED:
        raise UnclearBackground("no plain background was found at the borders of the image")
    if 1 - removed < _MIN_LEFT:
        raise UnclearBackground("nothing stands out from the background of the image")
    border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    if border.mean() < _MIN_BORDER_SHARE:
        raise UnclearBackground(
            f"only {border.mean():.0%} of the borders of the image show a plain background"
        )
    outline = int((small[1:] != small[:-1]).sum()) + int((small[:, 1:] != small[:, :-1]).sum())
    raggedness = outline / float(np.sqrt((~small).sum()))
    limit = _MAX_RAGGEDNESS_LIVELY if bound >= _MAX_DISTANCE else _MAX_RAGGEDNESS
    if raggedness > limit:
        raise UnclearBackground("the background of the image is too lively to be told apart")


class _Surface:
    """The background's color across the picture: a quadratic polynomial for each channel.

    ``bound`` is the distance in CIELAB up to which a pixel belongs to it.
    """

    def __init__(self, weights: Floats, bound: float) -> None:
        self.weights, self.bound = weights, bound

    def evaluate(self, shape: tuple[int, ...]) -> Floats:
        """The color of every pixel, (height, width, 3)."""
        rows = np.linspace(-1, 1, shape[0], dtype=np.float32)
        columns = np.linspace(-1, 1, shape[1], dtype=np.float32)
        x, y = np.meshgrid(columns, rows)
        colors: Floats = _terms(x, y) @ self.weights
        return colors


def _terms(x: Floats, y: Floats) -> Floats:
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).astype(np.float32)


def _fit_surface(lab: Floats) -> _Surface:
    """Fit the surface to the borders by least squares, leaving out outliers round by round."""
    height, width = lab.shape[:2]
    thickness = max(1, round(min(height, width) * _BORDER))
    border = np.zeros((height, width), bool)
    border[:thickness], border[-thickness:] = True, True
    border[:, :thickness], border[:, -thickness:] = True, True
    rows, columns = np.nonzero(border)
    step = max(1, rows.size // _MAX_BORDER_SAMPLES)
    rows, columns = rows[::step], columns[::step]
    x = (columns / max(1, width - 1) * 2 - 1).astype(np.float32)
    y = (rows / max(1, height - 1) * 2 - 1).astype(np.float32)
    terms, colors = _terms(x, y), lab[rows, columns]
    median = np.median(colors, axis=0)
    residuals = np.sqrt(((colors - median) ** 2).sum(axis=1))
    for _ in range(_FIT_ROUNDS):
        bound = float(np.clip(np.percentile(residuals, 50) * 2.5, _MIN_DISTANCE, _MAX_DISTANCE))
        inliers = residuals <= max(bound, float(np.percentile(residuals, 30)))
        weights = np.linalg.lstsq(terms[inliers], colors[inliers], rcond=None)[0].astype(np.float32)
        residuals = np.sqrt(((colors - terms @ weights) ** 2).sum(axis=1))
    return _Surface(weights, bound)


def _fill_from_borders(candidates: Mask) -> Mask:
    """The candidates that are connected to a border, dilated by the width of soft edges."""
    height, width = candidates.shape
    mask = pyvips.Image.new_from_array(candidates.astype(np.uint8) * 255)
    factor = max(1, max(height, width) // _MAX_FILL_SIDE)
    small = mask.shrink(factor, factor, ceil=True) >= 128
    regions = small.labelregions().numpy()
    border_labels = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    inside = small.numpy() > 0
    on_border = np.unique(
        border_labels[np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])]
    )
    connected = np.isin(regions, on_border) & inside
    dilated = pyvips.Image.new_from_array(connected.astype(np.uint8) * 255)
    window = 2 * _EDGE_WIDTH + 1
    dilated = dilated.rank(window, window, window * window - 1)
    full = dilated.zoom(factor, factor).crop(0, 0, width, height)
    return full.numpy() > 0


def _without_background_color(pixels: Bytes, opacity: Floats, background: Mask) -> Bytes:
    """Give edge pixels the color of the nearest opaque ones."""
    opaque = ((opacity >= 1) * 255).astype(np.uint8)
    subject = pyvips.Image.new_from_array(np.dstack([pixels, opaque])).copy(interpretation="srgb")
    blurred = map_premultiplied(subject, lambda image: gaussian_blur(image, _EDGE_WIDTH)).numpy()
    nearby = np.where(blurred[:, :, 3:] > _MIN_ALPHA, blurred[:, :, :3], pixels)
    edge = (background & (opacity < 1))[:, :, None]
    return np.where(edge, nearby, pixels).astype(np.uint8)
