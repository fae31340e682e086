"""People, animals and objects by YOLOX, an ONNX model that knows the 80 classes of COCO.

The model answers for every cell of three grids with a box, whether there is anything, and which
class.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from proxy.smartcrop.nms import Rows, apart, as_image
from proxy.smartcrop.onnx import Net
from proxy.smartcrop.subject import Evidence

STRIDES = (8, 16, 32)
CLASSES = 80
EMPTY = 114  # grey, around a picture that doesn't fill the model's square
SURE = 0.2
OVERLAP = 0.45

PERSON = 0
ANIMALS = range(14, 24)
FURNITURE = frozenset(
    (13, 56, 57, 59, 60, 61, 62, 68, 69, 71, 72)
)  # bench, chair, couch, bed, table …


class Things:
    """The model, loaded once.

    A call gives rows of left, top, right, bottom (pixels), confidence, class.
    """

    def __init__(self, path: Path) -> None:
        self._net = Net(path)
        side = self._net.input_shape[-1]
        if not isinstance(side, int) or list(self._net.input_shape) != [1, 3, side, side]:
            raise ValueError(f"{path.name} has not the input of YOLOX: one square of fixed size")
        self._side = side
        counts = [side // stride for stride in STRIDES]
        self._cells = np.concatenate(
            [np.stack(np.divmod(np.arange(n * n), n)[::-1], axis=1) for n in counts]
        )
        self._strides = np.repeat(STRIDES, [n * n for n in counts])[:, None]

    def __call__(self, preview: npt.NDArray[np.uint8]) -> Rows:
        """What is in an RGB preview of shape (height, width, 3)."""
        height, width = preview.shape[:2]
        scale = self._side / max(height, width)
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        small = (
            as_image(preview).resize(wide / width, vscale=high / height, kernel="linear").numpy()
        )
        planes = np.full((1, 3, self._side, self._side), EMPTY, np.float32)
        planes[0, :, :high, :wide] = small[:, :, ::-1].transpose(2, 0, 1)  # blue first
        rows = self._rows(self._net(planes)[self._net.outputs[0]][0])
        rows[:, :4] *= np.array([width / wide, height / high] * 2, np.float32)
        return np.concatenate(
            [rows[:0], *(_apart(rows[rows[:, 5] == kind]) for kind in np.unique(rows[:, 5]))]
        )

    def _rows(self, answer: Rows) -> Rows:
        sures = answer[:, 4:5] * answer[:, 5 : 5 + CLASSES]
        kinds = sures.argmax(axis=1)
        sure = sures[np.arange(len(sures)), kinds]
        kept = np.flatnonzero(sure > SURE)
        kept = kept[np.argsort(-sure[kept], kind="stable")]
        middle = (answer[kept, :2] + self._cells[kept]) * self._strides[kept]
        half = np.exp(np.minimum(answer[kept, 2:4], 8)) * self._strides[kept] / 2
        rows = [middle - half, middle + half, sure[kept], kinds[kept]]
        return np.column_stack(rows).astype(np.float32)


def _apart(rows: Rows) -> Rows:
    return rows[apart(rows, OVERLAP)]


def meaning(kind: int) -> tuple[Evidence, float]:
    """What a class is evidence of, and how likely such a thing is what the picture is about."""
    if kind == PERSON:
        return "person", 1.0
    if kind in ANIMALS:
        return "animal", 0.8
    return "object", 0.15 if kind in FURNITURE else 0.5
