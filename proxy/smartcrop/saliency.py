"""What stands out without being known: whatever cannot be reached from the border cheaply.

Background is what touches the border. The barrier of a place is the least span of values (greatest
less smallest) on any way to it from the border (minimum barrier distance); it is high inside things
and low on walls, skies and lawns, also where those shade off. It is taken over colour (CIELAB) and
over texture, weighed by how unlike the four borders the place looks, smoothed, and drawn towards
the middle, where photographers put what they mean. Methods: Zhang et al., "Minimum Barrier Salient
Object Detection at 80 FPS", 2015, after Strand et al., 2013.
"""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.smartcrop.nms import as_image, as_plane
from proxy.smartcrop.subject import Region

Array = npt.NDArray[np.float32]

SIDE = 64  # cells along the longer side
TEXTURE = 0.4  # share of texture in the barrier; the rest is colour
CONTRAST = 1.5  # power of what stands out over what does not
CELLS = 16  # boxes along the longer side, when a map is handed on
LEVELS = 15  # of saliency, when a map is handed on
SMOOTH = 2  # cells
DRAWN = 0.25  # how far from the middle the pull is felt, as a share of each side
BORDER = 0.1  # depth of the border that is compared with, as a share of the longer side
ROUNDS = 2  # sweeps in all four directions
FLAT = 4.0  # barriers (in units of CIELAB) below this are noise


def salience(
    preview: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8] | None = None
) -> Array | None:
    """How much every cell of a coarse grid stands out, greatest 1; None where nothing does.

    ``preview`` is RGB of shape (height, width, 3); the grid has its ratio. Transparent places, by
    ``alpha`` of shape (height, width), don't stand out.
    """
    height, width = preview.shape[:2]
    if min(height, width) < 8:
        return None
    scale = min(1.0, SIDE / max(height, width))
    across, down = max(3, round(width * scale)), max(3, round(height * scale))
    image = as_image(preview)
    colours = _planes(_shrunk(image, across, down).colourspace("lab"))
    texture = np.log1p(_smooth(_planes(_shrunk(_edges(image), across, down)), 1))
    barriers = barrier(np.concatenate([colours, texture]))
    colour = barriers[:3].sum(axis=0)
    if float(colour.max()) < FLAT:
        return None
    reached = (1 - TEXTURE) * _stretched(colour) + TEXTURE * _stretched(barriers[3])
    standing = _stretched(reached) * _stretched(unlike_border(colours))
    grid = _smooth(standing[None] ** CONTRAST, SMOOTH)[0] * _pull(down, across)
    if alpha is not None:
        grid *= _planes(_shrunk(as_plane(alpha), across, down))[0] / 255
    greatest = float(grid.max())
    return grid / greatest if greatest > 0 else None


def regions(grid: Array) -> list[Region]:
    """A map as few boxes: cells of equal level, joined along rows, then down columns.

    Weights add up to 1.
    """
    height, width = grid.shape
    scale = min(1.0, CELLS / max(height, width))
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    coarse = _means_of(grid, down, across)
    levels = np.round(LEVELS * coarse / coarse.max()).astype(int)
    open_runs: dict[tuple[int, int, int], int] = {}
    boxes = []
    for row in range(down + 1):
        runs = _runs(levels[row].tolist()) if row < down else []
        ended = {run: top for run, top in open_runs.items() if run not in runs}
        boxes += [(run, top, row) for run, top in ended.items()]
        open_runs = {run: open_runs.get(run, row) for run in runs}
    total = float(levels.sum())
    return [
        Region(
            round(start / across, 4),
            round(top / down, 4),
            round(end / across, 4),
            round(bottom / down, 4),
            round(level * (end - start) * (bottom - top) / total, 4),
            "saliency",
        )
        for (start, end, level), top, bottom in boxes
    ]


def _runs(levels: list[int]) -> list[tuple[int, int, int]]:
    """Start, end and level of each run of equal levels above 0."""
    found = []
    start = 0
    for level, run in groupby(levels):
        end = start + len(list(run))
        if level:
            found.append((start, end, level))
        start = end
    return found


def _means_of(grid: Array, down: int, across: int) -> Array:
    """Means over the cells of a coarser grid; edges fall on whole cells of the finer one."""
    rows = np.linspace(0, grid.shape[0], down + 1).round().astype(int)
    columns = np.linspace(0, grid.shape[1], across + 1).round().astype(int)
    sums = np.add.reduceat(np.add.reduceat(grid, rows[:-1], axis=0), columns[:-1], axis=1)
    means: Array = sums / np.outer(np.diff(rows), np.diff(columns))
    return means


def barrier(planes: Array) -> Array:
    """For each plane and cell the least span of values on a way from the border, nearly.

    Swept back and forth along rows and columns; ``planes`` has shape (planes, height, width).
    """
    high, low = planes.copy(), planes.copy()
    span = np.full_like(planes, np.inf)
    span[:, [0, -1]] = span[:, :, [0, -1]] = 0
    upright = (planes, high, low, span)
    turned = tuple(array.transpose(0, 2, 1) for array in upright)
    for _ in range(ROUNDS):
        for onward in (True, False):
            _sweep(*upright, onward=onward)
            _sweep(*turned, onward=onward)
    return span


def _sweep(planes: Array, high: Array, low: Array, span: Array, *, onward: bool) -> None:
    """Carry the ways found so far from each row to the next, in place."""
    lines = range(planes.shape[1])
    order = lines if onward else lines[::-1]
    for before, line in pairwise(order):
        higher = np.maximum(high[:, before], planes[:, line])
        lower = np.minimum(low[:, before], planes[:, line])
        through = higher - lower
        better = through < span[:, line]
        np.copyto(span[:, line], through, where=better)
        np.copyto(high[:, line], higher, where=better)
        np.copyto(low[:, line], lower, where=better)


def unlike_border(colours: Array) -> Array:
    """How far each cell's colour is from those of the borders, the least alike border left out.

    Distances are Mahalanobis', each scaled to at most 1, so that a subject that touches one border
    still differs from the other three.
    """
    planes, height, width = colours.shape
    depth = max(1, round(BORDER * max(height, width)))
    borders = (
        colours[:, :depth],
        colours[:, -depth:],
        colours[:, :, :depth],
        colours[:, :, -depth:],
    )
    distances = []
    for border in borders:
        values = border.reshape(planes, -1)
        away = colours - values.mean(axis=1)[:, None, None]
        spread = np.cov(values) + 4 * np.eye(planes)  # 4: noise of a flat wall
        inverse = np.linalg.inv(spread).astype(np.float32)
        distance = np.sqrt((away * np.tensordot(inverse, away, 1)).sum(axis=0))
        distances.append(distance / max(float(distance.max()), 1e-6))
    together = np.stack(distances)
    least_alike: Array = together.sum(axis=0) - together.max(axis=0)
    return least_alike


def _edges(image: pyvips.Image) -> pyvips.Image:
    """The absolute Laplacian of the green plane, which is most of what is bright."""
    mask = pyvips.Image.new_from_array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    return image[1].conv(mask, precision="integer").abs()


def _shrunk(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """By averaging, to an exact size."""
    return image.resize(width / image.width, vscale=height / image.height, kernel="linear")


def _planes(image: pyvips.Image) -> Array:
    pixels = image.cast("float").numpy().reshape(image.height, image.width, image.bands)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _smooth(planes: Array, radius: int) -> Array:
    """Twice the mean over squares of 2 radius + 1 cells; edges go on as they end."""
    for _ in range(2):
        for axis in (1, 2):
            planes = _means(planes, radius, axis)
    return planes


def _means(planes: Array, radius: int, axis: int) -> Array:
    length = planes.shape[axis]
    places = np.arange(length)
    total = np.zeros_like(planes)
    for step in range(-radius, radius + 1):
        total += planes.take(np.clip(places + step, 0, length - 1), axis=axis)
    total /= 2 * radius + 1
    return total


def _stretched(values: Array) -> Array:
    """Linearly from least and greatest to 0 and 1."""
    least, greatest = float(values.min()), float(values.max())
    return (values - least) / np.float32(max(greatest - least, 1e-6))


def _pull(height: int, width: int) -> Array:
    y = (np.arange(height, dtype=np.float32) + 0.5) / height - 0.5
    x = (np.arange(width, dtype=np.float32) + 0.5) / width - 0.5
    return np.exp(-(y[:, None] ** 2 + x**2) / (2 * DRAWN**2)).astype(np.float32)
