"""Saliency: what stands out from the background, without knowing what it is.

Background is what touches the border. The minimum barrier distance of a cell is the smallest range
of values (highest minus lowest) on any path to it from the border; it is large inside objects, and
small on walls, skies and lawns, also where these are shaded. It is taken over color (CIELAB) and
texture in several mixes, multiplied by the contrast to the four borders, smoothed, and weighted
towards the center.
Methods: Strand et al., "The minimum barrier distance", 2013; Zhang et al., "Minimum Barrier Salient
Object Detection at 80 FPS", 2015.
"""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.smartcrop.frame import Pixels, gray_image, rgb_image
from proxy.smartcrop.subject import Region

Array = npt.NDArray[np.float32]

_MAP_SIDE = 64  # cells along the longer side of a map
_TEXTURE_SHARES = (0.2, 0.4, 0.6, 0.8)  # of texture in the barrier; the rest is color
_CONTRAST = 1.5  # exponent that separates high from low saliency
_SMOOTHING = 3  # cells
_CENTER_SIGMA = 0.25  # of the Gaussian around the center, as a share of each side
_BORDER = 0.1  # depth of the border that cells are compared with, as a share of the longer side
_SWEEPS = 2  # in all four directions
_MIN_BARRIER = 4.0  # in units of CIELAB; a map whose highest barrier is below holds only noise
_NOISE = 4  # variance of a plain wall in CIELAB

_REGION_SIDE = 16  # cells along the longer side of a grid that becomes regions
_REGION_LEVELS = 20  # of saliency when a grid becomes regions
_DIGITS = 4  # that edges and weights of regions are rounded to


def saliency_map(pixels: Pixels, alpha: Pixels | None = None) -> Array | None:
    """The saliency of every cell of a coarse grid, maximum 1; None when nothing stands out.

    ``pixels`` is RGB of shape (height, width, 3); the grid has about its aspect ratio. Cells that
    are transparent by ``alpha``, of shape (height, width), are not salient.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < 8:
        return None
    scale = min(1.0, _MAP_SIDE / max(height, width))
    columns, rows = max(3, round(width * scale)), max(3, round(height * scale))
    image = rgb_image(pixels)
    lab = _planes(_shrink(image, columns, rows).colourspace("lab"))
    texture = np.log1p(_box_blur(_planes(_shrink(_edges(image), columns, rows)), 1))
    barriers = minimum_barrier_distance(np.concatenate([lab, texture]))
    color_barrier = barriers[:3].sum(axis=0)
    if float(color_barrier.max()) < _MIN_BARRIER:
        return None
    color, texture_barrier = _stretch(color_barrier), _stretch(barriers[3])
    contrast, prior = _stretch(border_contrast(lab)), _center_prior(rows, columns)
    shares = np.array(_TEXTURE_SHARES, np.float32)[:, None, None]
    mixes = (1 - shares) * color + shares * texture_barrier
    barriers = np.stack([_stretch(mix) for mix in mixes])
    maps = _box_blur((barriers * contrast) ** _CONTRAST, _SMOOTHING) * prior
    grid: Array = (maps / np.maximum(maps.mean(axis=(1, 2), keepdims=True), 1e-6)).sum(axis=0)
    if alpha is not None:
        grid *= _planes(_shrink(gray_image(alpha), columns, rows))[0] / 255
    maximum = float(grid.max())
    return grid / maximum if maximum > 0 else None


def coarsen(grid: Array) -> Array:
    """The means of a grid of few cells, `_REGION_SIDE` along the longer side."""
    scale = min(1.0, _REGION_SIDE / max(grid.shape))
    rows, columns = (max(1, round(length * scale)) for length in grid.shape)
    return cell_means(grid, rows, columns)


def saliency_regions(coarse: Array) -> list[Region]:
    """A coarse grid as few boxes: cells of equal level, joined along rows, then down columns.

    Its maximum is above 0. The weights add up to 1.
    """
    rows, columns = coarse.shape
    # Rounded twice: other processors compute other last digits, and a value between two levels
    # falls to the same one everywhere.
    levels = np.round(np.round(_REGION_LEVELS * coarse / coarse.max(), _DIGITS)).astype(int)
    open_runs: dict[tuple[int, int, int], int] = {}
    boxes = []
    for row in range(rows + 1):
        runs = _runs(levels[row].tolist()) if row < rows else []
        ended = {run: top for run, top in open_runs.items() if run not in runs}
        boxes += [(run, top, row) for run, top in ended.items()]
        open_runs = {run: open_runs.get(run, row) for run in runs}
    total = float(levels.sum())
    return [
        Region(
            round(start / columns, _DIGITS),
            round(top / rows, _DIGITS),
            round(end / columns, _DIGITS),
            round(bottom / rows, _DIGITS),
            round(level * (end - start) * (bottom - top) / total, _DIGITS),
            "saliency",
        )
        for (start, end, level), top, bottom in boxes
    ]


def _runs(levels: list[int]) -> list[tuple[int, int, int]]:
    """Start, end and level of each run of equal levels above 0."""
    runs = []
    start = 0
    for level, run in groupby(levels):
        end = start + len(list(run))
        if level:
            runs.append((start, end, level))
        start = end
    return runs


def cell_means(grid: Array, rows: int, columns: int) -> Array:
    """Means over the cells of a coarser grid; its edges lie on edges of the finer one."""
    row_edges = np.linspace(0, grid.shape[0], rows + 1).round().astype(int)
    column_edges = np.linspace(0, grid.shape[1], columns + 1).round().astype(int)
    row_sums = np.add.reduceat(grid, row_edges[:-1], axis=0)
    sums = np.add.reduceat(row_sums, column_edges[:-1], axis=1)
    means: Array = sums / np.outer(np.diff(row_edges), np.diff(column_edges))
    return means


def minimum_barrier_distance(planes: Array) -> Array:
    """The minimum barrier distance from the border, for each plane and cell, approximately.

    ``planes`` has the shape (planes, height, width), and so has the result. Computed by raster
    scans along rows and columns, as in Zhang et al.
    """
    highest, lowest = planes.copy(), planes.copy()
    distance = np.full_like(planes, np.inf)
    distance[:, [0, -1]] = distance[:, :, [0, -1]] = 0
    by_rows = (planes, highest, lowest, distance)
    by_columns = tuple(array.transpose(0, 2, 1) for array in by_rows)
    for _ in range(_SWEEPS):
        for forward in (True, False):
            _sweep(*by_rows, forward=forward)
            _sweep(*by_columns, forward=forward)
    return distance


def _sweep(planes: Array, highest: Array, lowest: Array, distance: Array, *, forward: bool) -> None:
    """Extend the paths found so far from each row to the next, in place."""
    rows = range(planes.shape[1])
    order = rows if forward else rows[::-1]
    for before, row in pairwise(order):
        path_highest = np.maximum(highest[:, before], planes[:, row])
        path_lowest = np.minimum(lowest[:, before], planes[:, row])
        path_distance = path_highest - path_lowest
        shorter = path_distance < distance[:, row]
        np.copyto(distance[:, row], path_distance, where=shorter)
        np.copyto(highest[:, row], path_highest, where=shorter)
        np.copyto(lowest[:, row], path_lowest, where=shorter)


def border_contrast(lab: Array) -> Array:
    """How far the color of each cell is from the colors of the four borders (Zhang et al.).

    ``lab`` has the shape (3, height, width), the result (height, width). Mahalanobis distances to
    the borders, each scaled to at most 1, are added up without the largest, so that a subject that
    touches one border still differs from the other three.
    """
    planes, height, width = lab.shape
    depth = max(1, round(_BORDER * max(height, width)))
    borders = (
        lab[:, :depth],
        lab[:, -depth:],
        lab[:, :, :depth],
        lab[:, :, -depth:],
    )
    distances = []
    for border in borders:
        colors = border.reshape(planes, -1)
        difference = lab - colors.mean(axis=1)[:, None, None]
        covariance = np.cov(colors) + _NOISE * np.eye(planes)
        inverse = np.linalg.inv(covariance).astype(np.float32)
        distance = np.sqrt((difference * np.tensordot(inverse, difference, 1)).sum(axis=0))
        distances.append(distance / max(float(distance.max()), 1e-6))
    stacked = np.stack(distances)
    contrast: Array = stacked.sum(axis=0) - stacked.max(axis=0)
    return contrast


def _edges(image: pyvips.Image) -> pyvips.Image:
    """The absolute Laplacian of the green band, which carries most of the luminance."""
    laplacian = pyvips.Image.new_from_array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    return image[1].conv(laplacian, precision="integer").abs()


def _shrink(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """Average down to an exact size."""
    return image.resize(width / image.width, vscale=height / image.height, kernel="linear")


def _planes(image: pyvips.Image) -> Array:
    """The bands as float32 of shape (bands, height, width)."""
    pixels = image.cast("float").numpy().reshape(image.height, image.width, image.bands)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _box_blur(planes: Array, radius: int) -> Array:
    """Blur twice with a box of 2 radius + 1 cells; edge cells are repeated outwards."""
    for _ in range(2):
        for axis in (1, 2):
            planes = _moving_mean(planes, radius, axis)
    return planes


def _moving_mean(planes: Array, radius: int, axis: int) -> Array:
    length = planes.shape[axis]
    positions = np.arange(length)
    total = np.zeros_like(planes)
    for step in range(-radius, radius + 1):
        total += planes.take(np.clip(positions + step, 0, length - 1), axis=axis)
    total /= 2 * radius + 1
    return total


def _stretch(values: Array) -> Array:
    """Scale linearly to the range 0 to 1."""
    lowest, highest = float(values.min()), float(values.max())
    return (values - lowest) / np.float32(max(highest - lowest, 1e-6))


def _center_prior(height: int, width: int) -> Array:
    """A Gaussian around the center: photographers place the subject there."""
    y = (np.arange(height, dtype=np.float32) + 0.5) / height - 0.5
    x = (np.arange(width, dtype=np.float32) + 0.5) / width - 0.5
    return np.exp(-(y[:, None] ** 2 + x**2) / (2 * _CENTER_SIGMA**2)).astype(np.float32)
