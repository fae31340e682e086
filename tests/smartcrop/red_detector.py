"""A detector from outside: everything red is one object."""

from collections.abc import Callable, Sequence

import numpy as np

from proxy.smartcrop.frame import Frame
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.subject import Region


def load_detector(_models: ModelsConfig) -> Callable[[Sequence[Frame]], list[Region]]:
    return detect_red


def detect_red(frames: Sequence[Frame]) -> list[Region]:
    red, green, blue = frames[0].pixels.transpose(2, 0, 1).astype(int)
    rows, columns = np.nonzero((red > 150) & (green < 80) & (blue < 80))
    if not len(rows):
        return []
    height, width = red.shape
    return [
        Region(
            float(columns.min() / width),
            float(rows.min() / height),
            float((columns.max() + 1) / width),
            float((rows.max() + 1) / height),
            1.0,
            "object",
        )
    ]
