"""Write what the teachers see in every training picture.

    python train/prepare.py SET MODELS OUT

SET is a folder with ``annotations.jsonl``, ``images`` and ``masks``; MODELS one with
``yolox_nano.onnx`` and ``yunet_s_dynamic.onnx``. YOLOX sees each picture twice, once mirrored;
YuNet also at double size. OUT becomes a pickle: one record for each line of the annotations.
"""

from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from proxy.smartcrop import yolox, yunet
from proxy.smartcrop.saliency import saliency_map

Boxes = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# Lower than in the package: what one teacher doubts, another may be sure of.
yolox._MIN_CONFIDENCE = 0.08
yunet._MIN_CONFIDENCE = 0.4

_MIN_SIDE = 0.004  # of the picture


def main() -> None:
    parser = argparse.ArgumentParser(description="Write what the teachers see in each picture.")
    parser.add_argument("set", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    find_objects = yolox.YoloxDetector(options.models / "yolox_nano.onnx")
    find_faces = yunet.YunetFaceDetector(options.models / "yunet_s_dynamic.onnx")
    records = []
    for line in (options.set / "annotations.jsonl").read_text().splitlines():
        name = json.loads(line)["file"]
        picture = Image.open(options.set / "images" / name).convert("RGB")
        records.append(teach(picture, find_objects, find_faces))
        print(f"\r{len(records)}", end="")
    options.out.write_bytes(pickle.dumps(records))


def teach(
    picture: Image.Image,
    find_objects: Callable[[Pixels], Boxes],
    find_faces: Callable[[Pixels], Boxes],
) -> dict[str, Any]:
    """The boxes of each run (n, 6), as shares of the picture, and the map of saliency."""
    pixels = np.asarray(picture)
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    double = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.BICUBIC)
    return {
        "objects": [
            _shares(find_objects(pixels), pixels),
            _shares(find_objects(mirrored), pixels, mirrored=True),
        ],
        "faces": [
            _shares(find_faces(pixels), pixels),
            _shares(find_faces(mirrored), pixels, mirrored=True),
            _shares(find_faces(np.asarray(double)), np.asarray(double)),
        ],
        "saliency": saliency_map(pixels),
    }


def _shares(boxes: Boxes, pixels: Pixels, *, mirrored: bool = False) -> Boxes:
    height, width = pixels.shape[:2]
    boxes = boxes.astype(np.float32)
    boxes[:, :4] /= np.array([width, height, width, height], np.float32)
    if mirrored:
        boxes[:, [0, 2]] = 1 - boxes[:, [2, 0]]
    boxes[:, :4] = np.clip(boxes[:, :4], 0, 1)
    sides = boxes[:, 2:4] - boxes[:, :2]
    return boxes[(sides > _MIN_SIDE).all(axis=1)]


if __name__ == "__main__":
    main()
