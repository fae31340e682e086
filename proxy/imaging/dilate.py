"""Thicken a mask, as for the outline of letters."""

import numpy as np
import pyvips


def dilate(mask: pyvips.Image, radius: int) -> pyvips.Image:
    """Each pixel of an 8-bit mask becomes the highest one within ``radius`` pixels around it."""
    pixels = np.pad(mask.numpy().reshape(mask.height, mask.width), radius)
    result = np.zeros((mask.height, mask.width), np.uint8)
    for offset in range(-radius, radius + 1):
        rows = pixels[radius + offset : radius + offset + mask.height]
        half = round(((radius + 0.5) ** 2 - offset**2) ** 0.5 - 0.5)
        columns = _sliding_maximum(rows, 2 * half + 1)
        start = radius - half
        np.maximum(result, columns[:, start : start + mask.width], out=result)
    return pyvips.Image.new_from_array(result)


def _sliding_maximum(rows: np.ndarray, width: int) -> np.ndarray:
    """The highest value of each ``width`` neighbors in a row, at the place of the first one."""
    covered = 1
    while covered < width:
        step = min(covered, width - covered)
        rows = np.maximum(rows[:, :-step], rows[:, step:])
        covered += step
    return rows
